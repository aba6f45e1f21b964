"""Learned weights: what a profile needs, where it is, how to get it, tiny stand-ins for it."""
