"""The command line; imported as `trajvae_cli`. Click and print live here alone."""

from .startup import quiet_interrupts

with quiet_interrupts():
    from .main import main

__all__ = ["main"]
