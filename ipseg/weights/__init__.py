"""Learned weights: what a profile needs, where it is, how to get it, and tiny replacements."""
