"""`ipseg review`: a page on loopback on which people accept, reject and repair what a run found."""
