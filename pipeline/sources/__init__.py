"""From folders, Parquet and tars to shards of rows."""
