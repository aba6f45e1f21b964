"""`ipseg bench --gpu`: what a card does, part by part; a second call goes on with the file."""
