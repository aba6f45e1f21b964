"""Matcher: DINOv2 matches an example's patches, SAM proposes masks (arXiv 2305.13310)."""
