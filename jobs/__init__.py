"""What a person starts: the command `ipseg` and its verbs."""
