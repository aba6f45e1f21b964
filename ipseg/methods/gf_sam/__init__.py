"""GF-SAM: points from DINOv2, SAM's masks of them as a graph (arXiv 2410.06964)."""
