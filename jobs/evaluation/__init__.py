"""`ipseg evaluate`: a benchmark run to its number, its table and its report."""
