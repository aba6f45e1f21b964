"""Data sets people compare on, their episodes, and the numbers that were published for them."""
