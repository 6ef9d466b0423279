"""Draw what `make demo` left: the latent map, Ramachandran plots and radii of gyration (`make picture`)."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import mdtraj
import numpy as np

TRAJECTORIES = Path(__file__).parent / "trajectories"


def backbone(trajectory: mdtraj.Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """phi and psi in degrees."""
    phi, psi = mdtraj.compute_phi(trajectory)[1], mdtraj.compute_psi(trajectory)[1]
    return np.degrees(phi[:, 0]), np.degrees(psi[:, 0])


def ramachandran(axes: plt.Axes, phi: np.ndarray, psi: np.ndarray, title: str) -> None:
    """One dot a conformation."""
    axes.scatter(phi, psi, s=2, alpha=0.4, color="#0072b2", linewidths=0)
    axes.set(xlim=(-180, 180), ylim=(-180, 180), xlabel="phi (degrees)", ylabel="psi (degrees)", title=title)
    axes.set_aspect("equal")


def main(folder: Path, picture: Path) -> None:
    """Draw."""
    warnings.simplefilter("ignore")
    simulation = mdtraj.load(
        str(TRAJECTORIES / "alanine_dipeptide.xtc"), top=str(TRAJECTORIES / "alanine_dipeptide.pdb")
    )
    phi, psi = backbone(simulation)
    with h5py.File(folder / "embed.h5") as file:
        latent = file["observables/latent/value"][()]
    with h5py.File(folder / "generate.h5md") as file:
        rg = file["observables/rg/value"][()]
    with h5py.File(folder / "model.h5") as file:
        simulated_rg = file["trajvae/training/observables/rg"][()]
    with h5py.File(folder / "optimize.h5md") as file:
        best = file["observables/objective/value"][0]
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.8), layout="constrained")
    dots = axes[0].scatter(*latent.T, c=phi, s=2, cmap="twilight", vmin=-180, vmax=180, linewidths=0)
    figure.colorbar(dots, ax=axes[0], label="phi (degrees)")
    axes[0].set(xlabel="latent 1", ylabel="latent 2", title="embed: 10 000 frames")
    ramachandran(axes[1], phi[::10], psi[::10], "simulation, every 10th frame")
    ramachandran(axes[2], *backbone(mdtraj.load_hdf5(str(folder / "generate.h5md"))), "generate: 1000 conformations")
    bins = np.linspace(min(simulated_rg.min(), best) - 0.02, simulated_rg.max() + 0.02, 40)
    axes[3].hist(simulated_rg, bins, density=True, color="#bbbbbb", label="simulation")
    axes[3].hist(rg, bins, density=True, histtype="step", color="#0072b2", label="generated")
    axes[3].axvline(best, color="#d55e00", label="optimum found")
    axes[3].axvline(simulated_rg.min(), color="#555555", linestyle=":", label="best simulated frame")
    axes[3].set(xlabel="radius of gyration (Å)", ylabel="density", title="marginals and optimize")
    axes[3].set_ylim(0, 1.6 * axes[3].get_ylim()[1])
    axes[3].legend(fontsize="small", loc="upper left")
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
