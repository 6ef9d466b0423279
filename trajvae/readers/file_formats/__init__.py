"""Read trajectory files, with one module for each format or library."""
