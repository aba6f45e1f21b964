"""Grounded-SAM: a detector finds what a name says, SAM outlines it (arXiv 2401.14159)."""
