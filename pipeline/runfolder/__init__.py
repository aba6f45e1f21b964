"""The run folder: finished rows, what they are made of, and who writes there."""
