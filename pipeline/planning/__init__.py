"""What runs where, decided before anything starts."""
