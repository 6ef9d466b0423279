"""Latent forces in OpenMM: their values and derivatives, a metadynamics that runs, systems that serialise."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trajvae import Model
from trajvae.errors import MissingPackageError, ModelError, OptionError
from trajvae.export import LatentCV
from trajvae.export import openmm as latent
from trajvae.typing import Float64

openmm = pytest.importorskip("openmm")
app = importlib.import_module("openmm.app")
Trained = Callable[..., Model]
HEAVY = [1, 4, 5, 6, 8, 10, 14, 15, 16, 18]


@pytest.fixture(scope="module")
def molecule(examples: Path) -> app.PDBFile:
    """Alanine dipeptide as OpenMM reads it."""
    return app.PDBFile(str(examples / "alanine_dipeptide.pdb"))


def biased(molecule: app.PDBFile, model: Model) -> tuple[app.Simulation, app.Metadynamics]:
    """A simulation with metadynamics of both components of a model."""
    field = app.ForceField("amber99sb.xml", "amber99_obc.xml")
    system = field.createSystem(molecule.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds)
    variables = latent.bias_variables(model, molecule.topology)
    meta = app.Metadynamics(system, variables, 500.0, 8.0, 2.0, 20)
    integrator = openmm.LangevinMiddleIntegrator(500.0, 2.0, 0.002)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(molecule.topology, system, integrator, openmm.Platform.getPlatform("Reference"))
    simulation.context.setPositions(molecule.positions)
    simulation.minimizeEnergy(maxIterations=100)
    simulation.context.setVelocitiesToTemperature(500.0, 1)
    return simulation, meta


def positions(simulation: app.Simulation) -> Float64:
    """In Å."""
    return np.asarray(10.0 * simulation.context.getState(positions=True).getPositions(asNumpy=True)._value)


def test_metadynamics_runs(molecule: app.PDBFile, trained: Trained) -> None:
    """300 steps: hills are laid, and the variables that OpenMM reports are the latent point of the frame."""
    model = trained()
    simulation, meta = biased(molecule, model)
    meta.step(simulation, 300)
    x = positions(simulation)
    assert np.isfinite(x).all() and simulation.currentStep == 300
    np.testing.assert_allclose(meta.getCollectiveVariables(simulation), LatentCV(model)(x[HEAVY]), atol=1e-9)
    assert meta.getFreeEnergy()._value.min() < -1.0


def test_forces_are_derivatives_of_the_component(molecule: app.PDBFile, trained: Trained) -> None:
    """In a context of their own, per nm: of heavy atoms those of LatentCV, of hydrogens none."""
    model = trained("hyperspherical", "internal")
    gradient = 10.0 * LatentCV(model).value_and_gradient(_start(molecule)[HEAVY])[1]
    for k, force in enumerate(latent.latent_forces(model, molecule.topology)):
        system = openmm.System()
        for _ in range(22):
            system.addParticle(1.0)
        system.addForce(force)
        platform = openmm.Platform.getPlatform("Reference")
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
        context.setPositions(molecule.positions)
        found = np.asarray(context.getState(forces=True).getForces(asNumpy=True)._value)
        np.testing.assert_allclose(found[HEAVY], -gradient[k], atol=1e-6)
        assert not found[np.setdiff1d(np.arange(22), HEAVY)].any() and force.getName() == f"z{k}"


def _start(molecule: app.PDBFile) -> Float64:
    return 10.0 * np.array(molecule.getPositions(asNumpy=True)._value)


def test_systems_serialise(molecule: app.PDBFile, trained: Trained) -> None:
    """And come back with the same energies, their components sharing one evaluation again."""
    model = trained()
    simulation, _ = biased(molecule, model)
    text = openmm.XmlSerializer.serialize(simulation.system)
    again = openmm.XmlSerializer.deserialize(text)
    platform = openmm.Platform.getPlatform("Reference")
    context = openmm.Context(again, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(molecule.positions)
    (force,) = (f for f in again.getForces() if isinstance(f, openmm.CustomCVForce))
    wanted = LatentCV(model)(_start(molecule)[HEAVY])
    np.testing.assert_allclose(force.getCollectiveVariableValues(context), wanted, atol=1e-9)


def test_components_are_computed_once(trained: Trained, molecule: app.PDBFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """All forces of a model, and the copies that OpenMM makes of them, look at one point."""
    calls = []
    own = LatentCV.value_and_gradient
    monkeypatch.setattr(LatentCV, "value_and_gradient", lambda self, x: calls.append(1) or own(self, x))
    simulation, meta = biased(molecule, trained("euclidean", "internal"))
    simulation.step(5)
    calls.clear()
    simulation.step(10)
    meta.getCollectiveVariables(simulation)
    assert len(calls) <= 12
    del simulation, meta
    gc.collect()


def test_variables_have_the_widths_of_the_data(trained: Trained, molecule: app.PDBFile) -> None:
    """Or those that are given; grids stay small in three dimensions."""
    model = trained("product")
    first, last = latent.bias_variables(model, molecule.topology, outputs=[1, 8])
    spread = model.record.latent.std(axis=0)
    assert 0.0 < first.biasWidth <= 0.3 * spread[1] and first.minValue < model.record.latent[:, 1].min()
    assert not last.periodic
    given = latent.bias_variables(model, molecule.topology, outputs=[0], widths=[0.5], ranges=[(-2.0, 2.0)])
    assert (given[0].biasWidth, given[0].minValue, given[0].maxValue, given[0].gridWidth) == (0.5, -2.0, 2.0, 26)
    three = latent.bias_variables(model, molecule.topology, outputs=[0, 1, 2], widths=[1e-4] * 3)
    assert np.prod([v.gridWidth for v in three]) <= 250_000


def test_what_does_not_fit_is_refused(trained: Trained, molecule: app.PDBFile) -> None:
    """Components, widths, atoms and topologies."""
    model = trained()
    for wrong in ([2], [0, 0], []):
        with pytest.raises(OptionError, match="components 0 to 1"):
            latent.latent_forces(model, molecule.topology, outputs=wrong)
    with pytest.raises(OptionError, match="widths= wants one for each of 2"):
        latent.bias_variables(model, molecule.topology, widths=[1.0])
    with pytest.raises(OptionError, match="above 0"):
        latent.bias_variables(model, molecule.topology, widths=[1.0, 0.0])
    with pytest.raises(OptionError, match="atoms= wants 10 different indices"):
        latent.latent_forces(model, molecule.topology, atoms=[0] * 10)
    argon = app.Topology()
    argon.addAtom("AR", None, argon.addResidue("AR", argon.addChain("A")))
    with pytest.raises(ModelError, match="is not in the simulation"):
        latent.latent_forces(model, argon)
    by_hand = latent.latent_forces(model, molecule.topology, atoms=HEAVY)[0]
    by_name = latent.latent_forces(model, molecule.topology)[0]
    assert list(by_hand.getParticles()) == list(by_name.getParticles()) == HEAVY


def test_openmm_is_optional(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, or with an old one, the message says what to install."""
    monkeypatch.delattr(openmm, "PythonForce")
    with pytest.raises(MissingPackageError, match="upgrade openmm"):
        latent.latent_forces(trained(), None)
    monkeypatch.setitem(__import__("sys").modules, "openmm", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'trajvae\[openmm\]'"):
        latent.latent_forces(trained(), None)
