"""SegGPT: the mask of an example is continued in another image (arXiv 2304.03284)."""
