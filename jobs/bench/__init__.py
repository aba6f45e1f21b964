"""`ipseg bench`: what a profile costs, in operations and in seconds."""
