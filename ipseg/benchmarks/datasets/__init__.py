"""One module for each benchmark, and what several of them have in common."""
