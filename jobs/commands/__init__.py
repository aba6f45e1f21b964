"""Verbs of the command `ipseg`, one module each: its options, what it prints, its exit code."""
