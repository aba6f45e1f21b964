"""SINE: one example, three answers - the same object, its instances, its class (arXiv 2410.04842).

Written from a description of the method; names of tensors and numbers are those of its release.
"""
