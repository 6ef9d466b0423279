"""Free energies on latent spaces: kernel densities with errors, basins, and frames that represent them.

from trajvae import free_energy
found = free_energy("embed.h5", temperature=300.0)
"""
