"""GroupViT: groups of patches that a name fits (arXiv 2202.11094)."""
