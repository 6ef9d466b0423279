"""The picture of README, by one command: `python examples/plot_demo.py [FOLDER [PICTURE]]` (`make picture`).

What the four commands of `make demo` would leave in the folder is made first where it is not there; then it is drawn:
figures of trajvae.plots, and a Ramachandran plot.
"""

from __future__ import annotations

import argparse
import subprocess
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
PHI = "dihedral:resname ACE and name C, resname ALA and name N, resname ALA and name CA, resname ALA and name C"
TRAJECTORY = [f"{STEM}.xtc", "-s", f"{STEM}.pdb"]
COMMANDS = {  # by the file that each leaves
    "embed.h5": ["embed", *TRAJECTORY],
    "generate.h5md": ["generate", "-n", "1000"],
    "marginals.h5": ["marginals", *TRAJECTORY],
    "optimize.h5md": ["optimize", "--objective", "rg"],
}
QUICK = {"embed.h5": ["--epochs", "1", "--step", "20"], "marginals.h5": ["--step", "20"]}  # a look at the picture alone


def make(folder: Path, *, quick: bool) -> None:
    """Run the commands whose files are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, words in COMMANDS.items():
        if not (folder / name).exists():
            more = QUICK.get(name, []) if quick else []
            subprocess.run([sys.executable, "-m", "trajvae_cli", *words, *more], cwd=folder, check=True)


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


def draw(folder: Path, picture: Path) -> None:
    """Draw what the commands have left."""
    warnings.simplefilter("ignore")
    simulated = mdtraj.load(f"{STEM}.xtc", top=f"{STEM}.pdb")
    generated = mdtraj.load_hdf5(str(folder / "generate.h5md"))
    embedding, marginals = plots.read(folder / "embed.h5"), plots.read(folder / "marginals.h5")
    phi = plots.colour_of(embedding, PHI, plots.Trajectory([f"{STEM}.xtc"], [f"{STEM}.pdb"]))
    panels = [
        ("latent", partial(plots.latent, embedding, colour=phi.values, label="φ (°)", period=phi.period)),
        ("free_energy", partial(plots.free_energy, embedding, temperature=TEMPERATURE)),
        ("ramachandran", partial(ramachandran, simulated, generated)),
        ("marginal", partial(plots.marginal, marginals, "rg")),
        ("divergences", partial(plots.divergences, marginals)),
        ("optimisation", partial(plots.optimisation, plots.read(folder / "optimize.h5md"))),
    ]
    plots.save(plots.draw(panels, columns=3), picture, dpi=110)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make the picture of README.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo"), help="where files are, or are made")
    parser.add_argument("picture", nargs="?", type=Path, help="[default: FOLDER/demo.png]")
    parser.add_argument("--quick", action="store_true", help="of few frames and one epoch")
    options = parser.parse_args()
    make(options.folder, quick=options.quick)
    picture = options.picture or options.folder / "demo.png"
    draw(options.folder, picture)
    print(picture)


if __name__ == "__main__":
    main()
