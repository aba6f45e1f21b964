"""No Time To Train (arXiv 2507.02798): each instance of several classes, without training."""
