"""Draw what `make demo` left in one picture (`make picture`): figures of trajvae.plots, and a Ramachandran plot."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path

import mdtraj
import numpy as np
from matplotlib.axes import Axes

from trajvae import plots
from trajvae.plots import style

STEM = Path(__file__).parent / "trajectories" / "alanine_dipeptide"
TEMPERATURE = 700.0  # K, of the simulation


def backbone(trajectory: mdtraj.Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """phi and psi in degrees."""
    phi, psi = mdtraj.compute_phi(trajectory)[1], mdtraj.compute_psi(trajectory)[1]
    return np.degrees(phi[:, 0]), np.degrees(psi[:, 0])


def ramachandran(simulated: mdtraj.Trajectory, generated: mdtraj.Trajectory, ax: Axes) -> Axes:
    """One dot a conformation."""
    for trajectory, colour, label in ((simulated, style.FILL, "simulated"), (generated, style.BLUE, "generated")):
        ax.scatter(*backbone(trajectory), s=3, c=colour, linewidths=0, label=label)
    ax.set(xlim=(-180, 180), ylim=(-180, 180), xlabel="φ (°)", ylabel="ψ (°)")
    style.legend_above(ax)
    return ax


def main(folder: Path, picture: Path) -> None:
    """Draw."""
    warnings.simplefilter("ignore")
    simulated = mdtraj.load(f"{STEM}.xtc", top=f"{STEM}.pdb")
    generated = mdtraj.load_hdf5(str(folder / "generate.h5md"))
    embedding, marginals = plots.read(folder / "embed.h5"), plots.read(folder / "marginals.h5")
    panels = [
        (
            "latent",
            partial(plots.latent, embedding, colour=backbone(simulated)[0], label="φ (°)", cmap="twilight_shifted"),
        ),
        ("free_energy", partial(plots.free_energy, embedding, temperature=TEMPERATURE)),
        ("ramachandran", partial(ramachandran, simulated, generated)),
        ("marginal", partial(plots.marginal, marginals, "rg")),
        ("divergences", partial(plots.divergences, marginals)),
        ("optimisation", partial(plots.optimisation, plots.read(folder / "optimize.h5md"))),
    ]
    plots.save(plots.draw(panels, columns=3), picture, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
