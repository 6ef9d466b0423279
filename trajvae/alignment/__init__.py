"""Superpose frames: centre and rotate them, measure the RMSD between frames, and differentiate all of it."""
