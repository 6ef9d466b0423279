"""OPES of alanine dipeptide along the latent coordinates of a model: `python examples/opes.py`.

A model is trained, both its coordinates are biased at 500 K, and a new model is trained on the biased frames with their
weights; alanine_simulation.py says how. It needs OpenMM and the package openmm-opes beside trajvae.
"""

from __future__ import annotations

import alanine_simulation as alanine
import numpy as np
import openmm
from openmm import app, unit
from openmm_opes import OPES

BARRIER = 30.0  # kJ/mol, that the bias may overcome


def simulate(
    system: openmm.System, variables: list[app.BiasVariable], pdb: app.PDBFile, frames: int, seed: int
) -> alanine.Biased:
    """Simulate with OPES, and weight each frame by the bias that acted on it.

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
    # Kernels keep the widths of the variables, where OPES would narrow them as frames come in. A coordinate of the
    # plane that follows an angle jumps where the angle has gone round, here by 27 an Å where psi passes -90 degrees,
    # and time steps of 2 fs cannot follow the force of narrow kernels there.
    narrowest = [variable.biasWidth for variable in variables]
    opes = OPES(system, variables, alanine.TEMPERATURE, BARRIER, alanine.STRIDE, None, minBandwidth=narrowest)
    simulation = alanine.start(pdb, system, seed)
    points: list[tuple[float, ...]] = []
    biases: list[float] = []

    def advance(steps: int) -> None:
        opes.step(simulation, steps)
        points.append(opes.getCollectiveVariables(simulation))
        biases.append(opes.getBiasEnergy(simulation.context).value_in_unit(unit.kilojoule_per_mole))

    opes.step(simulation, alanine.STRIDE // 2)  # so that no frame has its own kernel in its bias
    trajectory = alanine.run(simulation, advance, frames)
    free_energy = opes.getFreeEnergy().value_in_unit(unit.kilojoule_per_mole)
    return alanine.Biased(trajectory, np.array(points), np.array(biases), "opes.bias", free_energy)


if __name__ == "__main__":
    alanine.main("OPES of alanine dipeptide along latent coordinates.", "opes", simulate)
