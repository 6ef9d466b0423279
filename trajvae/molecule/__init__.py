"""Describe molecules: elements, masses, bonds, observables, validity, and their form in other libraries and files."""
