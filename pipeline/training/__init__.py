"""Training on one or several workers: the loop, its folder, and the workers of Ray Train."""
