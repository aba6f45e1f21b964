"""Images, masks and their geometry."""
