"""IPSeg: training-free open-world segmentation via image prompts (arXiv 2310.10912)."""
