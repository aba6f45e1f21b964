"""Ray Data around the algorithms. No algorithm lives here."""
