"""Training of SINE: pairs of images from annotated collections, losses, one step of the optimiser.

Written from a description of the released training; its mistakes are settings.
"""
