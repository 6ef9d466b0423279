"""Periodic boundaries: molecules that are broken over a boundary are made whole, and complexes are kept together."""
