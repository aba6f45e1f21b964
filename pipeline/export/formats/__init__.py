"""One module for each format that labels can be exported to."""
