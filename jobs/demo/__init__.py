"""The demo: a collection made from the photos of scikit-image."""
