"""Molecules: atoms, bonds, observables, bonded terms, validity, and conversion to other libraries."""
