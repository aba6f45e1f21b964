"""PerSense: every instance in a dense image from one example (Siddiqui et al., BMVC 2025)."""
