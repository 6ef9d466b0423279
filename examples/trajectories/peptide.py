"""Make the peptide trajectory of this folder: seven residues, one plain, unbiased run in implicit solvent.

Gly-Ser-Ala-Val-Ala-Ser-Gly with charged ends, built by PeptideBuilder, force field ff99SB with the OBC generalised
Born model, bonds to hydrogen constrained, hydrogens of 4 u, Langevin dynamics with steps of 4 fs. At 500 K the chain
folds back and stretches many times within the run. Heavy atoms are kept; frames are centred, not rotated or aligned.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import PeptideBuilder
from alanine_dipeptide import correlation, write_pdb
from Bio.PDB import PDBIO
from numpy.typing import NDArray
from openmm import app, unit

SEQUENCE = "GSAVASG"
TEMPERATURE = 500.0  # K
FRICTION = 2.0  # 1/ps
TIME_STEP = 0.004  # ps
HYDROGEN_MASS = 4.0  # u, taken from the heavy atoms beside them: allows the long steps
STEPS_BETWEEN = 1_000  # 4 ps between frames
EQUILIBRATION_STEPS = 50_000


def make_peptide() -> app.PDBFile:
    """Build the chain, all torsions extended.

    Returns
    -------
    openmm.app.PDBFile
        Heavy atoms.
    """
    structure = PeptideBuilder.make_extended_structure(SEQUENCE)
    PeptideBuilder.add_terminal_OXT(structure)
    writer, text = PDBIO(), io.StringIO()
    writer.set_structure(structure)
    writer.save(text)
    text.seek(0)
    return app.PDBFile(text)


def make_simulation(seed: int) -> app.Simulation:
    """Set the molecule up, minimised and with random velocities.

    Parameters
    ----------
    seed : int

    Returns
    -------
    openmm.app.Simulation
    """
    field = app.ForceField("amber99sb.xml", "amber99_obc.xml")
    start = make_peptide()
    molecule = app.Modeller(start.topology, start.positions)
    molecule.addHydrogens(field)
    system = field.createSystem(
        molecule.topology,
        nonbondedMethod=app.NoCutoff,
        constraints=app.HBonds,
        hydrogenMass=HYDROGEN_MASS * unit.dalton,
    )
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, TIME_STEP)
    integrator.setRandomNumberSeed(seed)
    # for so few atoms the Reference platform is the fastest
    platform = openmm.Platform.getPlatform("Reference")
    simulation = app.Simulation(molecule.topology, system, integrator, platform)
    simulation.context.setPositions(molecule.positions)
    simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, seed)
    return simulation


def simulate(simulation: app.Simulation, n_frames: int) -> tuple[mdtraj.Trajectory, float]:
    """Equilibrate, then keep `n_frames` frames of the heavy atoms.

    Parameters
    ----------
    simulation : openmm.app.Simulation
    n_frames : int

    Returns
    -------
    trajectory : mdtraj.Trajectory
    temperature : float
        Mean kinetic temperature over the frames in K.
    """
    context, integrator = simulation.context, simulation.integrator
    topology = mdtraj.Topology.from_openmm(simulation.topology)
    heavy = topology.select("element != H")
    integrator.step(EQUILIBRATION_STEPS)
    positions, kinetic = np.empty((n_frames, len(heavy), 3)), np.empty(n_frames)
    for frame in range(n_frames):
        integrator.step(STEPS_BETWEEN)
        state = context.getState(positions=True, energy=True)
        positions[frame] = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)[heavy]
        kinetic[frame] = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
    positions -= positions.mean(axis=1, keepdims=True)
    degrees = 3 * topology.n_atoms - simulation.system.getNumConstraints()
    gas_constant = unit.MOLAR_GAS_CONSTANT_R.value_in_unit(unit.kilojoule_per_mole / unit.kelvin)
    time = np.arange(n_frames) * STEPS_BETWEEN * TIME_STEP
    trajectory = mdtraj.Trajectory(positions.astype(np.float32), topology.subset(heavy), time=time)
    return trajectory, float(2 * kinetic.mean() / (degrees * gas_constant))


def radii(trajectory: mdtraj.Trajectory) -> NDArray[np.floating]:
    """Radius of gyration of the backbone in Å, shape (T,)."""
    backbone = trajectory.atom_slice(trajectory.topology.select("backbone"))
    return 10 * mdtraj.compute_rg(backbone)


def report(trajectory: mdtraj.Trajectory, temperature: float) -> None:
    """Print what tells a sound run from a broken one.

    Parameters
    ----------
    trajectory : mdtraj.Trajectory
    temperature : float
    """
    print(f"peptide {SEQUENCE}: {trajectory.n_frames} frames, {STEPS_BETWEEN * TIME_STEP:g} ps apart")
    print(f"  temperature          {temperature:.1f} K (wanted: {TEMPERATURE:g} K)")
    pairs = np.array([(a.index, b.index) for a, b in trajectory.topology.bonds])
    lengths = 10 * mdtraj.compute_distances(trajectory, pairs, periodic=False)
    spread = lengths.std(axis=0).max()
    print(f"  bonds                {lengths.min():.3f} to {lengths.max():.3f} Å, spread {spread:.4f} Å")
    rg = radii(trajectory)
    quarters = ", ".join(f"{part.mean():.3f}" for part in np.array_split(rg, 4))
    print(f"  backbone Rg          {rg.mean():.3f} ± {rg.std():.3f} Å; by quarters {quarters}")
    lags = ", ".join(f"{lag}: {correlation(rg, lag):.2f}" for lag in (1, 2, 5, 10, 20, 50))
    print(f"  its autocorrelation  at lag {lags}")
    ends = trajectory.topology.select("name CA")[[0, -1]]
    apart = 10 * mdtraj.compute_distances(trajectory, ends[None], periodic=False)[:, 0]
    print(f"  CA end to end        {apart.mean():.2f} ± {apart.std():.2f} Å")
    phi, psi, omega = (
        np.degrees(f(trajectory)[1]) for f in (mdtraj.compute_phi, mdtraj.compute_psi, mdtraj.compute_omega)
    )
    print(f"  phi > 0              {np.round(100 * np.mean(phi > 0, axis=0), 1).tolist()} % of frames")
    print(f"  |psi| < 90           {np.round(100 * np.mean(np.abs(psi) < 90, axis=0), 1).tolist()} % of frames")
    print(f"  cis peptide bonds    {100 * np.mean(np.abs(omega) < 90):.3f} %")


def parse_arguments() -> argparse.Namespace:
    """Read the command line.

    Returns
    -------
    argparse.Namespace
    """
    parser = argparse.ArgumentParser(description="Simulate a flexible heptapeptide in implicit solvent.")
    parser.add_argument("--frames", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=1, help="positive")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder for the files")
    arguments = parser.parse_args()
    if arguments.frames < 1 or arguments.seed < 1:
        parser.error("at least one frame and a positive seed are wanted")
    return arguments


def main() -> None:
    """Make both files and print their statistics."""
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    trajectory, temperature = simulate(make_simulation(arguments.seed), arguments.frames)
    trajectory.save_xtc(str(arguments.output / "peptide.xtc"))
    write_pdb(arguments.output / "peptide.pdb", trajectory.topology.to_openmm(), trajectory.xyz[0])
    report(trajectory, temperature)


if __name__ == "__main__":
    main()
