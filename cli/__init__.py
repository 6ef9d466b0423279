"""The command line; imported as `trajvae_cli`. Click and print live here alone."""

from .main import main

__all__ = ["main"]
