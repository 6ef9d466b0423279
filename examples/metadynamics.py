"""Metadynamics of alanine dipeptide along the latent coordinates of a model: `python examples/metadynamics.py`.

A model is trained, both its coordinates are biased at 500 K, and a new model is trained on the biased frames with their
weights; alanine_simulation.py says how. OpenMM is all that is needed beside trajvae.
"""

from __future__ import annotations

import alanine_simulation as alanine
import numpy as np
import openmm
from openmm import app, unit
from scipy.interpolate import RegularGridInterpolator

HEIGHT, BIAS_FACTOR = 1.0, 6.0  # kJ/mol; of the first hills


def simulate(
    system: openmm.System, variables: list[app.BiasVariable], pdb: app.PDBFile, frames: int, seed: int
) -> alanine.Biased:
    """Simulate with hills, and weight all frames by the bias at the end.

    Parameters
    ----------
    system : openmm.System
    variables : list of openmm.app.BiasVariable
    pdb : openmm.app.PDBFile
    frames, seed : int

    Returns
    -------
    alanine_simulation.Biased
    """
    meta = app.Metadynamics(system, variables, alanine.TEMPERATURE, BIAS_FACTOR, HEIGHT, alanine.STRIDE)
    simulation = alanine.start(pdb, system, seed)
    points: list[tuple[float, ...]] = []

    def advance(steps: int) -> None:
        meta.step(simulation, steps)
        points.append(meta.getCollectiveVariables(simulation))

    trajectory = alanine.run(simulation, advance, frames)
    z = np.array(points)
    free_energy = meta.getFreeEnergy().value_in_unit(unit.kilojoule_per_mole)
    return alanine.Biased(trajectory, z, bias_at(z, free_energy, variables), "metad.bias", free_energy)


def bias_at(z: alanine.Floats, free_energy: alanine.Floats, variables: list[app.BiasVariable]) -> alanine.Floats:
    """Return the bias that left this free energy, in kJ/mol, at latent points (T, 2); 0 outside the grid."""
    bias = -free_energy * (BIAS_FACTOR - 1.0) / BIAS_FACTOR
    axes = [np.linspace(v.minValue, v.maxValue, v.gridWidth) for v in reversed(variables)]
    return RegularGridInterpolator(axes, bias, bounds_error=False, fill_value=0.0)(z[:, ::-1])


if __name__ == "__main__":
    alanine.main("Metadynamics of alanine dipeptide along latent coordinates.", "metadynamics", simulate)
