"""Checks that our own latent spaces, likelihoods, features and objectives pass, for a user's own.

Each function returns nothing, or raises AssertionError that says what is wrong:

    from trajvae.testing import check_latent
    check_latent(Toroidal)

Monte-Carlo means are compared within four standard errors, gradients with central differences.
"""

from trajvae.testing.features import FEATURE_CHECKS, check_features
from trajvae.testing.latents import LATENT_CHECKS, check_latent
from trajvae.testing.likelihoods import LIKELIHOOD_CHECKS, check_likelihood
from trajvae.testing.manifolds import MANIFOLD_CHECKS, check_manifold
from trajvae.testing.objectives import check_objective

__all__ = [
    "FEATURE_CHECKS",
    "LATENT_CHECKS",
    "LIKELIHOOD_CHECKS",
    "MANIFOLD_CHECKS",
    "check_features",
    "check_latent",
    "check_likelihood",
    "check_manifold",
    "check_objective",
]
