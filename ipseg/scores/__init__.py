"""What scores are worth: thresholds from their shape, and probabilities from labels."""
