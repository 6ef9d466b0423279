"""Energy minimisation of conformations in a force field, with OpenMM, an optional dependency.

The force field is built from the topology: residues of standard proteins and nucleic acids and of their usual caps.
Atoms that were not selected, such as hydrogens, are added where OpenMM knows them, and only the selected ones are given
back.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from trajvae.errors import OptionError
from trajvae.molecule.from_mdanalysis import to_mdtraj
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64

OpenMMObject: TypeAlias = Any  # OpenMM has no types

FORCE_FIELD = ("amber14-all.xml", "implicit/obc2.xml")
STEPS = 200  # of the minimiser, at most, for each conformation
_SMALL = 200  # atoms up to which OpenMM's Reference platform is the fastest
RESTRAINT = 500.0  # kJ/mol/nm^2; holds the selected atoms near where they were drawn


class Relaxed(NamedTuple):
    """Hold minimised conformations with their energies.

    Attributes
    ----------
    positions : ndarray, shape (n, N, 3)
        Å.
    before, after : ndarray, shape (n,)
        Potential energy in kJ/mol, without that of the restraint; NaN where it cannot be computed, as of atoms that
        stand at one point: such conformations are left as they are.
    """

    positions: Float64
    before: Float64
    after: Float64


class Relaxation:
    """Minimise conformations of selected atoms in a force field.

    Parameters
    ----------
    topology : Topology
        Of the selected atoms.
    force_field : sequence of str
        Files that OpenMM knows.
    steps : int
        Of the minimiser, at most.
    restraint : float
        In kJ/mol/nm^2, of the selected atoms to where they are drawn.

    Raises
    ------
    OptionError
        OpenMM is not installed, or has no parameters for the molecule.
    """

    def __init__(
        self,
        topology: Topology,
        force_field: tuple[str, ...] = FORCE_FIELD,
        steps: int = STEPS,
        restraint: float = RESTRAINT,
    ) -> None:
        self.topology, self.steps, self.strength = topology, steps, restraint
        try:
            self.mm, self.app = importlib.import_module("openmm"), importlib.import_module("openmm.app")
        except ImportError as error:
            raise OptionError("--relax needs OpenMM: pip install 'trajvae[openmm]'") from error
        if not topology.named or not len(topology.bonds):
            raise OptionError("--relax needs a topology with names and bonds: train with -s/--topology")
        try:
            self.field = self.app.ForceField(*force_field)
        except (ValueError, OSError) as error:
            raise OptionError(f"force field {', '.join(force_field)}: {' '.join(str(error).split())}") from error
        self._bare: OpenMMObject | None = None
        self._variants: OpenMMObject | None = None
        self._ready: tuple[OpenMMObject, OpenMMObject, Int64] | None = None

    def __call__(self, positions: Float64, progress: Callable[[int, int], None] | None = None) -> Relaxed:
        """Minimise conformations (n, N, 3) in Å, one after the other."""
        if positions.shape[2] != 3:
            raise OptionError(f"--relax needs conformations in three dimensions, got {positions.shape[2]}")
        out, before, after = np.array(positions, dtype=np.float64), np.empty(len(positions)), np.empty(len(positions))
        for k, x in enumerate(positions):  # OpenMM minimises one context at a time
            out[k], before[k], after[k] = self._one(x / 10.0)
            if progress is not None:
                progress(k + 1, len(positions))
        return Relaxed(out, before, after)

    def _one(self, x: Float64) -> tuple[Float64, float, float]:
        if not np.isfinite(x).all():
            return 10.0 * x, float("nan"), float("nan")
        try:
            molecule = self._whole(x)
            if self._ready is None:
                self._ready = self._prepare(molecule)
        except ZeroDivisionError:  # hydrogens have no place beside atoms that stand at one point
            return 10.0 * x, float("nan"), float("nan")
        except (ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise OptionError(f"--relax needs all heavy atoms of a molecule that Amber14 knows: {reason}") from error
        context, anchors, chosen = self._ready
        start = np.asarray(molecule.positions.value_in_unit(self.mm.unit.nanometer), dtype=np.float64)
        for k, (row, place) in enumerate(zip(chosen, x, strict=True)):
            anchors.setParticleParameters(k, int(row), place.tolist())
        anchors.updateParametersInContext(context)
        context.setPositions(start)
        before = self._energy(context)
        try:
            self.mm.LocalEnergyMinimizer.minimize(context, maxIterations=self.steps)
        except self.mm.OpenMMException:
            return 10.0 * x, before, float("nan")
        found = context.getState(positions=True).getPositions(asNumpy=True)
        placed, after = 10.0 * np.asarray(found.value_in_unit(self.mm.unit.nanometer))[chosen], self._energy(context)
        return (placed, before, after) if np.isfinite(placed).all() else (10.0 * x, before, float("nan"))

    def _energy(self, context: OpenMMObject) -> float:
        state = context.getState(energy=True, groups={0})
        return float(state.getPotentialEnergy().value_in_unit(self.mm.unit.kilojoule_per_mole))

    def _whole(self, x: Float64) -> OpenMMObject:
        """The molecule with its hydrogens, which OpenMM places at random: here always with the same random seed."""
        if self._bare is None:
            self._bare = to_mdtraj(self.topology, 10.0 * x[None]).topology.to_openmm()
        molecule = self.app.Modeller(self._bare, x * self.mm.unit.nanometer)
        if not (self.topology.elements == "H").any():
            state = random.getstate()
            random.seed(0)
            try:
                reference = self.mm.Platform.getPlatform("Reference")
                # the protonation of the first conformation is that of all: one system serves them
                self._variants = molecule.addHydrogens(self.field, variants=self._variants, platform=reference)
            finally:
                random.setstate(state)
        return molecule

    def _prepare(self, molecule: OpenMMObject) -> tuple[OpenMMObject, OpenMMObject, Int64]:
        """A context, the force that holds the selected atoms, and which of the molecule's atoms those are."""
        system = self.field.createSystem(molecule.topology, nonbondedMethod=self.app.NoCutoff)
        chosen = _selected(molecule.topology, self.topology)
        anchors = self.mm.CustomExternalForce("0.5 * k * ((x - x0)^2 + (y - y0)^2 + (z - z0)^2)")
        anchors.addGlobalParameter("k", self.strength)
        for name in ("x0", "y0", "z0"):
            anchors.addPerParticleParameter(name)
        for row in chosen.tolist():
            anchors.addParticle(row, [0.0, 0.0, 0.0])
        anchors.setForceGroup(1)
        system.addForce(anchors)
        small = system.getNumParticles() < _SMALL
        platform = self.mm.Platform.getPlatform("Reference" if small else "CPU")
        properties = {} if small else {"DeterministicForces": "true", "Threads": "1"}
        context = self.mm.Context(system, self.mm.VerletIntegrator(0.001), platform, properties)
        return context, anchors, chosen


def _selected(whole: OpenMMObject, topology: Topology) -> Int64:
    """Which atoms of a molecule with hydrogens are the topology's: all heavy ones keep their order."""
    elements = [a.element.symbol if a.element is not None else "" for a in whole.atoms()]
    if len(elements) == topology.n_atoms:
        return np.arange(topology.n_atoms)
    return np.flatnonzero(np.array(elements) != "H")
