"""Superposition of frames: centring, optimal rotations, distances between frames, and their derivatives."""
