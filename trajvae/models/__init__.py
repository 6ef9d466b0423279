"""Networks, likelihoods, the VAE and its training."""
