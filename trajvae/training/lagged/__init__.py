"""Training with a lag time: pairs of frames, and the VAMP-2 score that makes a latent space follow what is slow."""
