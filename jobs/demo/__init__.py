"""The demo: a collection made from the photos that come with scikit-image."""
