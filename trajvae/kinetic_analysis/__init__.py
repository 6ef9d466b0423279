"""Kinetics of latent coordinates: how slow they are, beside TICA and PCA, and a Markov model on them.

from trajvae import kinetics
found = kinetics("embed.h5", lags=["10ps", "20ps"])
"""
