"""Make the bead-chain trajectories of this folder: 12 beads in two and in three dimensions.

Reduced units: lengths in Å, energies in kT, masses equal. OpenMM wants nm, kJ/mol, u and ps, so kT is
1 kJ/mol and a bead weighs 100 u: then the natural time unit, sqrt(mass / kT) * 1 Å, is exactly 1 ps.

- Bonds: harmonic, 1/2 k (r - 1 Å)^2 with k = 100 kT/Å^2.
- Angles: harmonic, 1/2 k (theta - 2.2)^2 with k = 5 kT/rad^2.
- Lennard-Jones with sigma 0.8 Å and epsilon 1 kT, no cutoff, between beads three or more bonds apart:
  pairs one bond (1-2) and two bonds (1-3) apart are excluded; 1-4 pairs count in full.

Per dimension there are two runs: one with frames far enough apart to be nearly independent, and one with
frames so close in time that each resembles the one before. Each frame is centred; none is rotated or aligned.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from MDAnalysis.lib.formats.libdcd import DCDFile
from numpy.typing import NDArray

N_BEADS = 12
KT = 1.0  # kJ/mol
MASS = 100.0  # u
BOND_LENGTH, BOND_STIFFNESS = 1.0, 100.0  # Å, kT/Å^2
ANGLE, ANGLE_STIFFNESS = 2.2, 5.0  # rad, kT/rad^2
LJ_SIGMA, LJ_EPSILON = 0.8, 1.0  # Å, kT

TIME_STEP = 0.01  # ps, the natural time unit
FRICTION = 0.3  # 1/ps
EQUILIBRATION_STEPS = 50_000
APART_STEPS = 2_000  # between nearly independent frames: 20 ps
CLOSE_STEPS = 3  # between close frames: 0.03 ps

NM_PER_ANGSTROM = 0.1
AKMA_PER_PS = 1 / 0.04888821  # the time unit of DCD headers
GRID = 2.0**-10  # Å; coordinates are rounded to multiples of it, so that they compress

BONDS = [(i, i + 1) for i in range(N_BEADS - 1)]


@dataclass(frozen=True)
class Run:
    """One trajectory and what was measured during it.

    Attributes
    ----------
    positions : ndarray of float32, shape (T, 12, 3)
        In Å; each frame is centred.
    temperature : float
        Mean kinetic temperature over the frames, in units of kT; 1 is right.
    interval : float
        Time between frames in ps.
    """

    positions: NDArray[np.float32]
    temperature: float
    interval: float


def build_system() -> openmm.System:
    """Build the chain; it is the same in two and in three dimensions.

    Returns
    -------
    openmm.System
    """
    bond, angle = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    lennard_jones = openmm.NonbondedForce()
    lennard_jones.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    system = openmm.System()
    for _ in range(N_BEADS):
        system.addParticle(MASS)
        lennard_jones.addParticle(0.0, LJ_SIGMA * NM_PER_ANGSTROM, LJ_EPSILON * KT)
    for i, j in BONDS:
        bond.addBond(i, j, BOND_LENGTH * NM_PER_ANGSTROM, BOND_STIFFNESS * KT / NM_PER_ANGSTROM**2)
    for i in range(N_BEADS - 2):
        angle.addAngle(i, i + 1, i + 2, ANGLE, ANGLE_STIFFNESS * KT)
    # excludes 1-2 and 1-3 pairs; the two factors of 1 leave 1-4 pairs at full strength
    lennard_jones.createExceptionsFromBonds(BONDS, 1.0, 1.0)
    for force in (bond, angle, lennard_jones):
        system.addForce(force)
    return system


def langevin_integrator(dimension: int, seed: int) -> openmm.CustomIntegrator:
    """Make a Langevin integrator that moves the beads in the plane or in space.

    The form is LFMiddle: full kick, half drift, friction and noise, half drift. In two dimensions a mask
    takes force and noise out of the third coordinate, which so stays exactly zero.

    Parameters
    ----------
    dimension : {2, 3}
    seed : int

    Returns
    -------
    openmm.CustomIntegrator
    """
    integrator = openmm.CustomIntegrator(TIME_STEP)
    integrator.addGlobalVariable("kept", np.exp(-FRICTION * TIME_STEP))
    integrator.addGlobalVariable("kT", KT)
    integrator.addPerDofVariable("mask", 1.0)
    integrator.addUpdateContextState()
    integrator.addComputePerDof("v", "v + mask*dt*f/m")
    integrator.addComputePerDof("x", "x + 0.5*dt*v")
    integrator.addComputePerDof("v", "kept*v + mask*sqrt((1 - kept*kept)*kT/m)*gaussian")
    integrator.addComputePerDof("x", "x + 0.5*dt*v")
    integrator.setPerDofVariableByName("mask", [openmm.Vec3(1, 1, dimension == 3)] * N_BEADS)
    integrator.setRandomNumberSeed(seed)
    return integrator


def zigzag() -> NDArray[np.float64]:
    """Lay the chain out flat, every bond and angle at its minimum.

    Returns
    -------
    ndarray of float64, shape (12, 3)
        In Å, centred, z = 0.
    """
    positions = np.zeros((N_BEADS, 3))
    positions[:, 0] = np.arange(N_BEADS) * BOND_LENGTH * np.sin(ANGLE / 2)
    positions[::2, 1] = BOND_LENGTH * np.cos(ANGLE / 2)
    return positions - positions.mean(axis=0)


def simulate(dimension: int, n_frames: int, steps_between: int, seed: int) -> Run:
    """Run the chain from the zigzag and keep `n_frames` frames after equilibration.

    Parameters
    ----------
    dimension : {2, 3}
    n_frames : int
    steps_between : int
        Time steps between frames.
    seed : int

    Returns
    -------
    Run
    """
    integrator = langevin_integrator(dimension, seed)
    # for so few particles the Reference platform is the fastest
    context = openmm.Context(build_system(), integrator, openmm.Platform.getPlatform("Reference"))
    context.setPositions(zigzag() * NM_PER_ANGSTROM)
    integrator.step(EQUILIBRATION_STEPS)
    positions = np.empty((n_frames, N_BEADS, 3))
    temperatures = np.empty(n_frames)
    for frame in range(n_frames):
        integrator.step(steps_between)
        state = context.getState(positions=True, velocities=True)
        positions[frame] = state.getPositions(asNumpy=True)._value / NM_PER_ANGSTROM
        velocities = state.getVelocities(asNumpy=True)._value
        temperatures[frame] = MASS * np.sum(velocities**2) / (dimension * N_BEADS * KT)
    positions -= positions.mean(axis=1, keepdims=True)
    rounded = (np.round(positions / GRID) * GRID).astype(np.float32)
    return Run(rounded, float(temperatures.mean()), steps_between * TIME_STEP)


def write_dcd(path: Path, run: Run) -> None:
    """Write a DCD file without a box.

    `MDAnalysis.coordinates.DCD.DCDWriter` always adds a box, so its file layer is used here.

    Parameters
    ----------
    path : Path
    run : Run
    """
    with DCDFile(str(path), "w") as dcd:
        delta = run.interval * AKMA_PER_PS
        dcd.write_header("bead chain", natoms=N_BEADS, istart=0, nsavc=1, delta=delta, is_periodic=0)
        for frame in run.positions:
            dcd.write(frame, np.zeros(6))


def write_pdb(path: Path) -> None:
    """Write the flat zigzag with CONECT records, as a topology.

    The beads pose as carbon, so that programs which need an element find one.

    Parameters
    ----------
    path : Path
    """
    lines = ["REMARK   1 12-BEAD CHAIN; THE BEADS POSE AS CARBON"]
    for i, (x, y, z) in enumerate(zigzag(), start=1):
        coordinates = f"{x:8.3f}{y:8.3f}{z:8.3f}"
        lines.append(f"ATOM  {i:5d}  {f'B{i}':<3s} CHN A   1    {coordinates}{1:6.2f}{0:6.2f}           C")
    for i in range(N_BEADS):
        partners = sorted({i - 1, i + 1} & set(range(N_BEADS)))
        lines.append(f"CONECT{i + 1:5d}" + "".join(f"{j + 1:5d}" for j in partners))
    path.write_text("\n".join([*lines, "END", ""]))


def superposed_rmsd(first: NDArray[np.floating], second: NDArray[np.floating], dimension: int) -> NDArray:
    """Compute the least RMSD over proper rotations, frame by frame.

    Parameters
    ----------
    first, second : ndarray, shape (T, N, 3)
        Centred.
    dimension : {2, 3}
        In two dimensions only rotations within the plane are tried.

    Returns
    -------
    ndarray of float64, shape (T,)
    """
    first = first[..., :dimension].astype(float)
    second = second[..., :dimension].astype(float)
    left, singular, right = np.linalg.svd(np.swapaxes(first, 1, 2) @ second)
    singular[:, -1] *= np.sign(np.linalg.det(left @ right))
    squares = np.sum(first**2, axis=(1, 2)) + np.sum(second**2, axis=(1, 2)) - 2 * singular.sum(axis=1)
    return np.sqrt(np.maximum(squares, 0) / first.shape[1])


def report(name: str, run: Run, dimension: int) -> None:
    """Print what tells a sound run from a broken one.

    Parameters
    ----------
    name : str
        Name of the run.
    run : Run
    dimension : {2, 3}
    """
    positions = run.positions.astype(float)
    steps = np.diff(positions, axis=1)
    lengths = np.linalg.norm(steps, axis=2)
    cosines = -np.sum(steps[:, 1:] * steps[:, :-1], axis=2) / (lengths[:, 1:] * lengths[:, :-1])
    angles = np.arccos(np.clip(cosines, -1, 1))
    gyration = np.sqrt(np.mean(np.sum(positions**2, axis=2), axis=1))
    ends = np.linalg.norm(positions[:, -1] - positions[:, 0], axis=1)
    rmsd = superposed_rmsd(run.positions[:-1], run.positions[1:], dimension)
    low, middle, high = np.percentile(rmsd, [5, 50, 95])
    print(f"{name}: {len(positions)} frames, {run.interval:g} ps apart")
    print(f"  temperature          {run.temperature:.3f} kT")
    print(f"  bond length          {lengths.mean():.4f} +- {lengths.std():.4f} Å")
    print(f"  angle                {angles.mean():.3f} +- {angles.std():.3f} rad")
    print(f"  radius of gyration   {gyration.mean():.3f} +- {gyration.std():.3f} Å")
    print(f"    frame to frame r   {np.corrcoef(gyration[:-1], gyration[1:])[0, 1]:.3f}")
    print(f"  end-to-end distance  {ends.mean():.3f} +- {ends.std():.3f} Å")
    print(f"    frame to frame r   {np.corrcoef(ends[:-1], ends[1:])[0, 1]:.3f}")
    print(f"  RMSD to next frame   {middle:.4f} Å (5 to 95 %: {low:.4f} to {high:.4f})")
    print(f"  largest |z|          {np.abs(positions[..., 2]).max():g} Å", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Read the command line.

    Returns
    -------
    argparse.Namespace
    """
    parser = argparse.ArgumentParser(description="Simulate a 12-bead chain in 2-D and 3-D.")
    parser.add_argument("--dimensions", type=int, nargs="+", choices=(2, 3), default=[2, 3])
    parser.add_argument("--frames", type=int, default=8000, help="frames of the runs far apart")
    parser.add_argument("--close-frames", type=int, default=2000, help="frames of the runs close in time")
    parser.add_argument("--seed", type=int, default=1, help="positive; each run has its own, derived from it")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder for the files")
    arguments = parser.parse_args()
    if min(arguments.frames, arguments.close_frames) < 3 or arguments.seed < 1:
        parser.error("at least 3 frames per run and a positive seed are wanted")
    return arguments


def main() -> None:
    """Make all files and print their statistics."""
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_pdb(arguments.output / "chain.pdb")
    for dimension in arguments.dimensions:
        for suffix, n_frames, steps_between, offset in (
            ("", arguments.frames, APART_STEPS, 0),
            ("_close", arguments.close_frames, CLOSE_STEPS, 1),
        ):
            path = arguments.output / f"chain{dimension}d{suffix}"
            run = simulate(dimension, n_frames, steps_between, 10 * arguments.seed + 2 * dimension + offset)
            np.savez_compressed(path.with_suffix(".npz"), positions=run.positions[..., :dimension])
            if dimension == 2:
                write_dcd(path.with_suffix(".dcd"), run)
            report(path.name, run, dimension)


if __name__ == "__main__":
    main()
