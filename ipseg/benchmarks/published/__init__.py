"""Numbers from papers, and the episode lists they were measured on."""
