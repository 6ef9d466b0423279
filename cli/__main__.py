"""`python -m trajvae_cli`."""

from .main import main

main()
