"""Make a trajectory of a charged heptapeptide with side chains: `python benchmarks/heptapeptide.py FOLDER`.

Lys-Glu-Ala-Arg-Glu-Asp-Lys with charged ends, force field ff99SB with the OBC generalised Born model, bonds to
hydrogen constrained, hydrogens of 4 u, Langevin dynamics with steps of 4 fs at 400 K: salt bridges form and break
within tens of picoseconds. Heavy atoms are kept. Needs `pip install openmm PeptideBuilder`; three hours on one core
for 10 000 frames every 5 ps.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

import openmm
import PeptideBuilder
from Bio.PDB import PDBIO
from openmm import app, unit

SEQUENCE = "KEAREDK"
TEMPERATURE = 400.0  # K
FRICTION = 0.3  # 1/ps; low, so that the chain moves fast
TIME_STEP = 0.004  # ps
HYDROGEN_MASS = 4.0  # u, taken from the heavy atoms beside them: allows the long steps
PICOSECONDS = 5.0  # between frames
EQUILIBRATION_STEPS = 12_500


def make_peptide() -> app.PDBFile:
    """Build the heavy atoms of the chain, all torsions extended."""
    structure = PeptideBuilder.make_extended_structure(SEQUENCE)
    PeptideBuilder.add_terminal_OXT(structure)
    writer, text = PDBIO(), io.StringIO()
    writer.set_structure(structure)
    writer.save(text)
    text.seek(0)
    return app.PDBFile(text)


def make_simulation(start: app.PDBFile, seed: int) -> app.Simulation:
    """Set the molecule up, minimised and with random velocities."""
    field = app.ForceField("amber99sb.xml", "amber99_obc.xml")
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
    platform = openmm.Platform.getPlatform("CPU")
    simulation = app.Simulation(molecule.topology, system, integrator, platform, {"Threads": "1"})
    simulation.context.setPositions(molecule.positions)
    simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, seed)
    return simulation


def main() -> None:
    """Make `hepta.pdb` and `hepta.dcd`, of heavy atoms."""
    parser = argparse.ArgumentParser(description="Simulate a charged heptapeptide in implicit solvent.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--apart", type=float, default=PICOSECONDS, help="ps between frames")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    start, begun = make_peptide(), time.perf_counter()
    with (arguments.folder / "hepta.pdb").open("w") as file:
        app.PDBFile.writeFile(start.topology, start.positions, file)
    simulation = make_simulation(start, arguments.seed)
    atoms = list(simulation.topology.atoms())
    heavy = [atom.index for atom in atoms if atom.element.symbol != "H"]
    if [atoms[k].name for k in heavy] != [atom.name for atom in start.topology.atoms()]:
        raise SystemExit("the hydrogens came with atoms in another order")
    simulation.step(EQUILIBRATION_STEPS)
    steps = round(arguments.apart / TIME_STEP)
    path = str(arguments.folder / "hepta.dcd")
    simulation.reporters.append(app.DCDReporter(path, steps, atomSubset=heavy))
    simulation.step(steps * arguments.frames)
    print(f"{arguments.frames} frames of {len(heavy)} atoms in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
