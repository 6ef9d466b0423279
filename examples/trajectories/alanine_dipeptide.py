"""Make the alanine-dipeptide trajectory of this folder: one plain, unbiased run in implicit solvent.

Force field ff99SB with the OBC generalised Born model, bonds to hydrogen constrained, Langevin dynamics
with steps of 2 fs. At 700 K the molecule goes back and forth between phi < 0 and phi > 0 many times, which
it would hardly do at room temperature. Each frame is centred; none is rotated or aligned.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

import mdtraj
import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from openmmtools.testsystems import AlanineDipeptideImplicit

TEMPERATURE = 700.0  # K
FRICTION = 2.0  # 1/ps
TIME_STEP = 0.002  # ps
STEPS_BETWEEN = 2_000  # 4 ps between frames
EQUILIBRATION_STEPS = 50_000

RIGHT_HANDED = (0.0, 130.0)  # degrees; phi > 0 without what wraps around from the extended region
LEFT_HANDED = (-150.0, -30.0)
PEPTIDE_BONDS = [[1, 4, 6, 8], [8, 14, 16, 18]]  # atoms of the two omega torsions


@dataclass(frozen=True)
class Run:
    """One trajectory and what was measured during it.

    Attributes
    ----------
    trajectory : mdtraj.Trajectory
        Each frame is centred.
    temperature : float
        Mean kinetic temperature over the frames in K.
    """

    trajectory: mdtraj.Trajectory
    temperature: float


def make_simulation(seed: int) -> app.Simulation:
    """Set the molecule up, minimised and with random velocities.

    Topology and starting positions come with openmmtools; its force field is replaced.

    Parameters
    ----------
    seed : int

    Returns
    -------
    openmm.app.Simulation
    """
    start = AlanineDipeptideImplicit()
    system = app.ForceField("amber99sb.xml", "amber99_obc.xml").createSystem(
        start.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds
    )
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, TIME_STEP)
    integrator.setRandomNumberSeed(seed)
    # for so few atoms the Reference platform is the fastest
    platform = openmm.Platform.getPlatform("Reference")
    simulation = app.Simulation(start.topology, system, integrator, platform)
    simulation.context.setPositions(start.positions)
    simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, seed)
    return simulation


def simulate(simulation: app.Simulation, n_frames: int) -> Run:
    """Equilibrate, then keep `n_frames` frames.

    Parameters
    ----------
    simulation : openmm.app.Simulation
    n_frames : int

    Returns
    -------
    Run
    """
    context, integrator = simulation.context, simulation.integrator
    integrator.step(EQUILIBRATION_STEPS)
    positions = np.empty((n_frames, simulation.topology.getNumAtoms(), 3))
    kinetic = np.empty(n_frames)
    for frame in range(n_frames):
        integrator.step(STEPS_BETWEEN)
        state = context.getState(positions=True, energy=True)
        positions[frame] = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        kinetic[frame] = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
    positions -= positions.mean(axis=1, keepdims=True)
    # three degrees of freedom per atom, less constraints, less the centre of mass
    degrees = 3 * positions.shape[1] - simulation.system.getNumConstraints() - 3
    gas_constant = unit.MOLAR_GAS_CONSTANT_R.value_in_unit(unit.kilojoule_per_mole / unit.kelvin)
    trajectory = mdtraj.Trajectory(
        positions.astype(np.float32),
        mdtraj.Topology.from_openmm(simulation.topology),
        time=np.arange(n_frames) * STEPS_BETWEEN * TIME_STEP,
    )
    return Run(trajectory, float(2 * kinetic.mean() / (degrees * gas_constant)))


def write_pdb(path: Path, topology: app.Topology, positions: NDArray[np.floating]) -> None:
    """Write one frame with CONECT records for all bonds.

    Parameters
    ----------
    path : Path
    topology : openmm.app.Topology
    positions : ndarray, shape (N, 3)
        In nm.
    """
    text = io.StringIO()
    app.PDBFile.writeModel(topology, positions.astype(float) * unit.nanometer, text)
    partners: list[list[int]] = [[] for _ in range(topology.getNumAtoms())]
    for bond in topology.bonds():
        partners[bond[0].index].append(bond[1].index + 1)
        partners[bond[1].index].append(bond[0].index + 1)
    for serial, others in enumerate(partners, start=1):
        text.write(f"CONECT{serial:5d}" + "".join(f"{other:5d}" for other in sorted(others)) + "\n")
    path.write_text(text.getvalue() + "END\n")


def count_crossings(phi: NDArray[np.floating]) -> int:
    """Count how often phi changes between the cores of its two sides.

    Frames outside both cores count as where the molecule last was.

    Parameters
    ----------
    phi : ndarray, shape (T,)
        In degrees.

    Returns
    -------
    int
    """
    right = (phi > RIGHT_HANDED[0]) & (phi < RIGHT_HANDED[1])
    left = (phi > LEFT_HANDED[0]) & (phi < LEFT_HANDED[1])
    sides = right[right | left]
    return int(np.count_nonzero(sides[1:] != sides[:-1]))


def correlation(values: NDArray[np.floating], lag: int) -> float:
    """Compute the autocorrelation of a series at one lag.

    Parameters
    ----------
    values : ndarray, shape (T,)
    lag : int

    Returns
    -------
    float
        NaN where the series is constant or not longer than the lag.
    """
    values = values - values.mean()
    if len(values) <= lag or not values.any():
        return float("nan")
    return float(np.mean(values[lag:] * values[:-lag]) / np.mean(values**2))


def report_torsions(trajectory: mdtraj.Trajectory) -> None:
    """Print how phi, psi and the two omegas are visited.

    Parameters
    ----------
    trajectory : mdtraj.Trajectory
    """
    phi = np.degrees(mdtraj.compute_phi(trajectory)[1][:, 0])
    psi = np.degrees(mdtraj.compute_psi(trajectory)[1][:, 0])
    omega = np.degrees(mdtraj.compute_dihedrals(trajectory, PEPTIDE_BONDS, periodic=False))
    core = ((phi > RIGHT_HANDED[0]) & (phi < RIGHT_HANDED[1])).astype(float)
    print(f"  phi > 0              {100 * np.mean(phi > 0):.2f} % of frames")
    print(f"  phi in 0 to 130      {100 * core.mean():.2f} % of frames")
    print(f"  crossings of phi     {count_crossings(phi)}")
    edges = np.arange(-180, 181, 30)
    print(f"  phi, bins of 30      {np.histogram(phi, edges)[0].tolist()}")
    print(f"  psi, bins of 30      {np.histogram(psi, edges)[0].tolist()}")
    print(f"  cis peptide bonds    {100 * np.mean(np.abs(omega) < 90):.2f} %")
    series = {
        "phi in 0 to 130": core,
        "sin phi": np.sin(np.radians(phi)),
        "cos phi": np.cos(np.radians(phi)),
        "sin psi": np.sin(np.radians(psi)),
        "cos psi": np.cos(np.radians(psi)),
    }
    for name, values in series.items():
        lags = ", ".join(f"{lag}: {correlation(values, lag):.2f}" for lag in (1, 2, 5, 10, 20))
        print(f"  autocorrelation of {name:<15s} at lag {lags}")


def report(run: Run) -> None:
    """Print what tells a sound run from a broken one.

    Parameters
    ----------
    run : Run
    """
    trajectory = run.trajectory
    print(f"alanine_dipeptide: {trajectory.n_frames} frames, {STEPS_BETWEEN * TIME_STEP:g} ps apart")
    print(f"  temperature          {run.temperature:.1f} K (wanted: {TEMPERATURE:g} K)")
    names = {a.name: a.index for a in trajectory.topology.atoms if a.residue.name == "ALA"}
    centre = trajectory.xyz[:, names["CA"]]
    arms = np.stack([trajectory.xyz[:, names[name]] - centre for name in ("N", "C", "CB")], axis=1)
    arms /= np.linalg.norm(arms, axis=2, keepdims=True)
    volumes = np.linalg.det(arms)
    print(f"  chirality at CA      {volumes.min():.3f} to {volumes.max():.3f} (L: above 0)")
    pairs = np.array([(a.index, b.index) for a, b in trajectory.topology.bonds])
    lengths = 10 * mdtraj.compute_distances(trajectory, pairs, periodic=False)
    heavy = np.array([all(a.element.symbol != "H" for a in bond) for bond in trajectory.topology.bonds])
    for name, chosen in (("with H", ~heavy), ("without H", heavy)):
        part = lengths[:, chosen]
        spread = part.std(axis=0).max()
        print(f"  bonds {name:<12s}   {part.min():.3f} to {part.max():.3f} Å, spread {spread:.4f} Å")
    report_torsions(trajectory)


def parse_arguments() -> argparse.Namespace:
    """Read the command line.

    Returns
    -------
    argparse.Namespace
    """
    parser = argparse.ArgumentParser(description="Simulate alanine dipeptide in implicit solvent.")
    parser.add_argument("--frames", type=int, default=10_000)
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
    simulation = make_simulation(arguments.seed)
    run = simulate(simulation, arguments.frames)
    run.trajectory.save_xtc(str(arguments.output / "alanine_dipeptide.xtc"))
    write_pdb(arguments.output / "alanine_dipeptide.pdb", simulation.topology, run.trajectory.xyz[0])
    report(run)


if __name__ == "__main__":
    main()
