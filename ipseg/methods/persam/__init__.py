"""PerSAM and PerSAM-F: Segment Anything made personal by one image (arXiv 2305.03048)."""
