"""Methods: what to keep of a prompt, and how to find it again."""
