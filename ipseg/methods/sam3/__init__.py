"""SAM 3 by example: the example and the image on one canvas (arXiv 2604.05433)."""
