"""Readers of trajectory files, one module for each format."""
