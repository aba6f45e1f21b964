"""Loading networks and running them in batches."""
