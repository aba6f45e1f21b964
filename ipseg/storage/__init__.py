"""Files anywhere: local paths and object storage, with retries."""
