"""Test whether conformations could come from a simulation, by what simulated frames have."""

from trajvae.molecule.validity.learned_terms import CONTACT, NEAR
from trajvae.molecule.validity.validity import REASONS, Validity

__all__ = ["CONTACT", "NEAR", "REASONS", "Validity"]
