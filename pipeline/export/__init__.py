"""Labels of a run as data sets that other people's tools load."""
