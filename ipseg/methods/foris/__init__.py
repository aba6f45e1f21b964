"""FoRIS (arXiv 2609.03384): INSID3 with a gate, votes and a prior in one score of each cell."""
