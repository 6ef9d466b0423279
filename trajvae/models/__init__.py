"""Data and networks of the VAE: its parts put together, the evidence it finds, and what its file holds."""
