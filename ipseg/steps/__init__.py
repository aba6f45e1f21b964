"""The steps that methods are made of."""
