"""Released annotation files: reading them safely, and converting them once to Parquet."""
