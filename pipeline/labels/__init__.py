"""From candidates to labels: decisions of people, thresholds, and what is left of a run's rows."""
