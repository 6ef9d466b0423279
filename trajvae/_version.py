"""The version, in a file that setuptools reads without importing the package."""

__version__ = "0.1.0"
