"""Comparison of a model with its simulation, with baselines, and with other models."""
