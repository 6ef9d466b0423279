"""What the examples of biased simulations share: alanine dipeptide in OpenMM, and what is computed of its frames.

A model is trained on the trajectory of this folder, which was simulated at 700 K. Then the molecule is simulated at
500 K, in the same force field, with a bias along both latent coordinates. Reweighted frames give the free-energy
difference between both sides of phi, and the bias gives the free energy of the latent space. At last a new model is
trained on the biased frames with their weights. `--unbiased 20` simulates 20 ns without a bias instead, for comparison.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import mdtraj
import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from trajvae import Model
from trajvae.export.openmm import bias_variables

STEM = Path(__file__).parent / "trajectories" / "alanine_dipeptide"
TEMPERATURE = 500.0  # K
TIME_STEP = 0.002  # ps
STRIDE = 500  # steps between frames, and between two changes of the bias: 1 ps
FILLING = 0.2  # share of the run in which the bias still grows, and which is left out
BLOCKS = 10  # for standard errors
KT = 8.31446e-3 * TEMPERATURE  # kJ/mol
TRAINING = {"topology": f"{STEM}.pdb", "hidden": (64, 64), "seed": 0, "device": "cpu"}  # of both models
SIDES = ((0.0, 130.0), (-150.0, -30.0))  # degrees of phi: cores of both sides

Floats: TypeAlias = NDArray[np.floating]


class Difference(NamedTuple):
    """Hold a free energy of phi > 0 less that of phi < 0, and its standard error, in kJ/mol."""

    value: float
    error: float


class Biased(NamedTuple):
    """Hold what a simulation with a bias gave.

    Attributes
    ----------
    trajectory : mdtraj.Trajectory
        T frames, one a ps.
    points : ndarray, shape (T, 2)
        Their latent points.
    bias : ndarray, shape (T,)
        By which each frame is weighted, in kJ/mol.
    column : str
        Name of the bias in a COLVAR file.
    free_energy : ndarray
        Of the latent space, on a grid, in kJ/mol.
    """

    trajectory: mdtraj.Trajectory
    points: Floats
    bias: Floats
    column: str
    free_energy: Floats


# takes the system, the variables of the bias, the structure, the frames, a seed
Simulate: TypeAlias = Callable[[openmm.System, list[app.BiasVariable], app.PDBFile, int, int], Biased]


def train(path: Path) -> Model:
    """Return the model of a file; it is trained and written first where there is none.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Model
    """
    if path.exists():
        return Model.load(path)
    model = Model.train(f"{STEM}.xtc", step=4, **TRAINING)
    model.save(path)
    return model


def make_system(pdb: app.PDBFile) -> openmm.System:
    """Return the molecule in implicit solvent: ff99SB and OBC, bonds with hydrogens constrained."""
    field = app.ForceField("amber99sb.xml", "amber99_obc.xml")
    return field.createSystem(pdb.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds)


def start(pdb: app.PDBFile, system: openmm.System, seed: int) -> app.Simulation:
    """Return a simulation that is minimised and has velocities."""
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, 2.0, TIME_STEP)
    integrator.setRandomNumberSeed(seed)
    # for so few atoms the Reference platform is the fastest
    simulation = app.Simulation(pdb.topology, system, integrator, openmm.Platform.getPlatform("Reference"))
    simulation.context.setPositions(pdb.positions)
    simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, seed)
    return simulation


def run(simulation: app.Simulation, advance: Callable[[int], None], frames: int) -> mdtraj.Trajectory:
    """Simulate, and return a frame a ps.

    Parameters
    ----------
    simulation : openmm.app.Simulation
    advance : callable
        Takes the steps to make.
    frames : int

    Returns
    -------
    mdtraj.Trajectory
    """
    positions = np.empty((frames, simulation.topology.getNumAtoms(), 3), dtype=np.float32)
    for k in range(frames):
        advance(STRIDE)
        positions[k] = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value
    trajectory = mdtraj.Trajectory(positions, mdtraj.load(f"{STEM}.pdb").topology)
    trajectory.time = np.arange(1, frames + 1) * STRIDE * TIME_STEP
    return trajectory


def phi_of(trajectory: mdtraj.Trajectory) -> Floats:
    """Return phi in degrees, (T,)."""
    return np.degrees(mdtraj.compute_phi(trajectory)[1][:, 0])


def crossings(phi: Floats) -> int:
    """Count how often phi changes between the cores of its two sides."""
    right, left = ((phi > low) & (phi < high) for low, high in SIDES)
    sides = right[right | left]
    return int(np.count_nonzero(sides[1:] != sides[:-1]))


def difference(phi: Floats, weights: Floats) -> Difference:
    """Return the free-energy difference of weighted frames, with the standard error between blocks.

    Parameters
    ----------
    phi, weights : ndarray, shape (T,)

    Returns
    -------
    Difference
    """
    above = np.array([w[p > 0.0].sum() for p, w in zip(*_blocks(phi, weights), strict=True)])
    below = np.array([w[p <= 0.0].sum() for p, w in zip(*_blocks(phi, weights), strict=True)])
    value = -KT * np.log(above.sum() / below.sum())
    left = [-KT * np.log((above.sum() - a) / (below.sum() - b)) for a, b in zip(above, below, strict=True)]
    return Difference(float(value), float(np.sqrt((BLOCKS - 1) * np.var(left))))  # jackknife


def _blocks(*columns: Floats) -> list[list[Floats]]:
    return [np.array_split(column, BLOCKS) for column in columns]


def analyse(variables: list[app.BiasVariable], found: Biased, folder: Path) -> None:
    """Reweight a simulation, train again with the weights, and write what was found.

    Parameters
    ----------
    variables : list of openmm.app.BiasVariable
    found : Biased
    folder : Path
    """
    trajectory, bias = found.trajectory, found.bias
    settled = slice(round(FILLING * len(bias)), None)
    phi, weights = phi_of(trajectory), np.exp((bias - bias.max()) / KT)
    report("biased", phi, difference(phi[settled], weights[settled]))
    trajectory.save_xtc(str(folder / "biased.xtc"))
    np.savetxt(
        folder / "COLVAR",
        np.column_stack([trajectory.time, found.points, bias])[settled],
        fmt="%.6f",
        header=f"! FIELDS time z0 z1 {found.column}",
        comments="#",
    )
    axes = {v.force.getName(): np.linspace(v.minValue, v.maxValue, v.gridWidth) for v in variables}
    np.savez(folder / "free_energy.npz", free_energy=found.free_energy - np.nanmin(found.free_energy), **axes)
    train_again(folder, settled.start)


def train_again(folder: Path, start: int) -> None:
    """Train a model on biased frames from `start` on, with the weights of their COLVAR file, and write it."""
    weights = {"weights": str(folder / "COLVAR"), "temperature": TEMPERATURE}
    again = Model.train(str(folder / "biased.xtc"), start=start, **weights, **TRAINING)
    again.save(folder / "again.h5", force=True)
    print(f"  trained again on {again.figures.frames} frames, worth {again.figures.effective_sample_size:.0f}")


def report(name: str, phi: Floats, found: Difference) -> None:
    """Print the figures of a run."""
    print(f"{name}: {len(phi) * STRIDE * TIME_STEP / 1000:g} ns at {TEMPERATURE:g} K")
    print(f"  crossings between both sides of phi: {crossings(phi)}")
    print(f"  free energy of phi > 0 less that of phi < 0: {found.value:.2f} +- {found.error:.2f} kJ/mol")


def main(description: str, folder: str, simulate: Simulate) -> None:
    """Train, simulate, and print what came of it.

    Parameters
    ----------
    description : str
        Of the example.
    folder : str
        For the files, unless another is asked for.
    simulate : callable
        Adds the bias to a system and simulates.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--time", type=float, default=5.0, metavar="NS", help="nanoseconds with a bias")
    parser.add_argument("--unbiased", type=float, default=0.0, metavar="NS", help="nanoseconds without, instead")
    parser.add_argument("--seed", type=int, default=1, help="positive")
    parser.add_argument("--output", type=Path, default=Path(folder), help="folder for the files")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    arguments.output.mkdir(parents=True, exist_ok=True)
    since, pdb = time.monotonic(), app.PDBFile(f"{STEM}.pdb")
    system, frames = make_system(pdb), round(1000.0 * (arguments.unbiased or arguments.time) / (STRIDE * TIME_STEP))
    if arguments.unbiased:
        simulation = start(pdb, system, arguments.seed)
        phi = phi_of(run(simulation, simulation.step, frames))
        report("unbiased", phi, difference(phi, np.ones_like(phi)))
    else:
        variables = bias_variables(train(arguments.output / "model.h5"), pdb.topology)
        trained = time.monotonic()
        found = simulate(system, variables, pdb, frames, arguments.seed)
        simulated = time.monotonic()
        analyse(variables, found, arguments.output)
        print(f"  training {trained - since:.0f} s, simulation {simulated - trained:.0f} s")
    print(f"  {time.monotonic() - since:.0f} s")
