"""`TrajVAE` and `Embed` as MDAnalysis' users run them."""

import pickle
import warnings

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysisTests.datafiles import GRO, XTC

from trajvae import Embed, Model, Reading, TrajVAE
from trajvae.errors import ModelError, OptionError, ReadError, SelectionError, TrajvaeWarning

SHORT = {"latent_dim": 2, "epochs": 3, "hidden": (16,)}
NAMES = ("latent", "latent_scale", "rmsd", "frame_jump")
anonymous = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture
def universe(adk):
    """Adenylate kinase, opened anew for each test."""
    return mda.Universe(*map(str, adk))


@pytest.fixture(scope="module")
def trained(adk):
    """A run over every tenth frame."""
    return TrajVAE(mda.Universe(*map(str, adk)), select="name CA", **SHORT, seed=1).run(step=10)


@pytest.fixture(scope="module")
def serial(adk, trained):
    """`Embed` over all frames in one process."""
    return Embed(mda.Universe(*map(str, adk)), trained.model).run().results


def assert_same(a, b):
    """All results bit-identical."""
    for name in NAMES:
        np.testing.assert_array_equal(a[name], b[name])


def test_results(trained):
    """One row a frame; Å; a history of as many epochs."""
    results = trained.results
    assert results.latent.shape == results.latent_scale.shape == (10, 2)
    assert results.rmsd.shape == results.frame_jump.shape == (10,)
    assert np.isnan(results.frame_jump[0]) and (results.frame_jump[1:] > 0).all()
    assert (results.rmsd > 0).all() and (results.latent_scale > 0).all()
    assert {len(v) for v in results.history.values()} == {3}
    assert isinstance(trained.model, Model) and trained.model.topology.n_atoms == 214
    assert trained.model.config.select == "name CA" and trained.model.config.seed == 1
    assert trained.model.figures["frames"] == 10
    np.testing.assert_array_equal(trained.frames, np.arange(0, 98, 10))


def test_second_run_gives_the_same(universe, trained):
    """Wherever the trajectory stands; and the same object can run again."""
    universe.trajectory[41]
    again = TrajVAE(universe, select="name CA", **SHORT, seed=1)
    assert_same(again.run(step=10).results, trained.results)
    assert_same(again.run(step=10).results, trained.results)


def test_model_of_a_run_is_kept(trained, tmp_path, universe):
    """Saved and loaded, it embeds its own frames to the same latents."""
    trained.model.save(tmp_path / "model.h5")
    loaded = Embed(universe, Model.load(tmp_path / "model.h5")).run(step=10)
    assert_same(loaded.results, trained.results)


def test_frames(universe, trained, serial):
    """`start`, `stop`, `step` and `frames` choose as MDAnalysis has it."""
    some = Embed(universe, trained.model).run(start=5, stop=60, step=7)
    np.testing.assert_array_equal(some.frames, np.arange(5, 60, 7))
    np.testing.assert_allclose(some.results.latent, serial.latent[5:60:7], atol=1e-5)
    listed = Embed(universe, trained.model).run(frames=[90, 3, 17])
    np.testing.assert_allclose(listed.results.latent, serial.latent[[90, 3, 17]], atol=1e-5)


def test_embed_equals_encode(universe, trained, serial):
    """The class and the chunked function of the command line are one."""
    encoded = trained.model.encode(universe)
    np.testing.assert_array_equal(encoded.latent, serial.latent)
    np.testing.assert_array_equal(encoded.latent_scale, serial.latent_scale)
    np.testing.assert_allclose(encoded.rmsd, serial.rmsd, rtol=1e-9)
    np.testing.assert_allclose(encoded.frame_jump, serial.frame_jump, rtol=1e-9)


@pytest.mark.parametrize("backend", ["multiprocessing", "dask"])
def test_parallel_embed(universe, trained, serial, backend):
    """Two workers give what one gives."""
    assert_same(Embed(universe, trained.model).run(backend=backend, n_workers=2).results, serial)


def test_parallel_training(universe, trained):
    """Workers copy the frames; one process trains on them."""
    run = TrajVAE(universe, select="name CA", **SHORT, seed=1).run(step=10, backend="multiprocessing", n_workers=2)
    assert_same(run.results, trained.results)


def test_workers_get_no_model(universe, trained):
    """What is sent to a worker holds no weights."""
    analysis = Embed(universe, trained.model)
    assert pickle.loads(pickle.dumps(analysis)).model is None
    assert analysis.model is trained.model


def test_atomgroup(universe, trained, serial):
    """An AtomGroup restricts what the selection sees."""
    atoms = universe.select_atoms("name CA or name CB")
    assert_same(Embed(atoms, trained.model).run().results, serial)
    half = TrajVAE(universe.select_atoms("resid 1:50"), select="name CA", **SHORT).run(step=10)
    assert half.model.topology.n_atoms == 50


def test_mdtraj(adk, trained, serial):
    """mdtraj's nm are converted, its names are understood."""
    psf, dcd = map(str, adk)
    trajectory = mdtraj.load(dcd, top=psf, stride=10)
    found = Embed(trajectory, trained.model).run().results
    np.testing.assert_allclose(found.latent, serial.latent[::10], atol=1e-4)
    np.testing.assert_allclose(found.rmsd, serial.rmsd[::10], atol=1e-4)
    run = TrajVAE(trajectory, select="name CA", **SHORT, seed=1).run()
    assert run.results.latent.shape == (10, 2) and run.model.topology.names.tolist() == ["CA"] * 214


@anonymous
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_arrays(chain, kind):
    """Flat molecules, in Å; read-only arrays are read without a word and left as they are."""
    x = chain.astype(kind)
    x.setflags(write=False)
    before = x.copy()
    run = TrajVAE(x, **SHORT).run(step=4)
    assert run.results.latent.shape == (100, 2)
    assert run.model.pipeline.dimension == 2
    np.testing.assert_array_equal(Embed(x, run.model).run(step=4).results.latent, run.results.latent)
    np.testing.assert_array_equal(x, before)


def test_arrays_warn_of_the_missing_topology(chain, tiny_model):
    """Unit masses, no names: said once for each source."""
    with pytest.warns(TrajvaeWarning, match="unit mass") as said:
        Embed(chain, tiny_model).run(stop=5)
    assert len(said) == 1


def test_positions_in_memory_stay(universe, trained):
    """A universe in memory is read, never turned or centred in place; earlier transformations are obeyed."""
    universe.transfer_to_memory(step=10)
    before = universe.trajectory.timeseries(order="fac").copy()
    found = Embed(universe, trained.model).run()
    np.testing.assert_array_equal(universe.trajectory.timeseries(order="fac"), before)
    np.testing.assert_allclose(found.results.latent, trained.results.latent, atol=1e-5)


def test_wrapped_universe():
    """Protein atoms stand on both sides of the box in the file: molecules are made whole before anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(GRO, XTC)
        atoms = universe.select_atoms("protein and name CA")
        raw = np.stack([atoms.positions.copy() for _ in universe.trajectory])
    assert np.linalg.norm(np.diff(raw, axis=1), axis=2).max() > 4.5
    run = TrajVAE(universe, select="protein and name CA", **SHORT).run()
    assert run.results.latent.shape == (10, 2)
    assert np.linalg.norm(np.diff(run.model.record.sample, axis=1), axis=2).max() < 4.5
    np.testing.assert_allclose(run.model.encode(universe).latent, run.results.latent, atol=1e-5)


def test_no_frames(universe, trained):
    """An empty choice is an error with a reason."""
    for choice in ({"frames": []}, {"stop": 0}):
        with pytest.raises(ReadError, match="no frame"):
            Embed(universe, trained.model).run(**choice)


def test_too_few_frames(universe):
    """One frame teaches nothing."""
    with pytest.raises(ReadError, match="frames, got 1"):
        TrajVAE(universe, select="name CA", **SHORT).run(stop=1)


@anonymous
def test_another_molecule(universe, tiny_model, trained, chain):
    """Refused before anything is read, with both atom counts."""
    with pytest.raises(ModelError, match=r"another molecule.*12 atoms"):
        Embed(universe.select_atoms("name CA"), tiny_model)
    with pytest.raises((ModelError, SelectionError)):
        Embed(chain, trained.model)
    with pytest.raises((ModelError, SelectionError)):
        Embed(universe.select_atoms("name CB"), trained.model)


def test_wrong_options(universe):
    """Refused when they are given, not after the frames are read."""
    with pytest.raises(SelectionError, match="name ZZ"):
        TrajVAE(universe, select="name ZZ")
    with pytest.raises(OptionError, match="epochs"):
        TrajVAE(universe, select="name CA", epochs=0)
    with pytest.raises(ReadError, match="dict"):
        TrajVAE({})
    with pytest.raises(OptionError, match="nowhere"):
        TrajVAE(universe, select="name CA", latent="nowhere").run(step=10)


def test_arrays_keep_their_precision(chain):
    """T10 through the classes: float64 frames turned and shifted move no latent point by 1e-8."""
    x = chain.astype(float)
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, len(x))
    turns = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        model = TrajVAE(x, **SHORT).run().model
        plain, moved = (Embed(y, model).run().results.latent for y in (x, x @ turns + 7.0))
        np.testing.assert_array_equal(plain, model.encode(x).latent)
    assert np.abs(plain - moved).max() < 1e-8


def test_an_atomgroup_is_meant_whole(universe):
    """No default selection cuts it; its model finds the same atoms in the universe again."""
    group = universe.select_atoms("backbone and resid 1-9")
    run = TrajVAE(group, **SHORT).run(step=20)
    assert run.model.topology.n_atoms == len(group)
    assert_same(Embed(universe, run.model).run(step=20).results, run.results)


@anonymous
def test_frames_may_have_weights(chain, tmp_path):
    """Of all frames or of those that are read, by time where a file has it: the same as `Model.train` and `encode`."""
    weights = np.linspace(0.1, 1.0, len(chain))
    short = {"epochs": 2, "hidden": (8,), "device": "cpu"}
    run = TrajVAE(chain, weights=weights, **short).run(step=4)
    whole = Model.train(chain, step=4, weights=weights, **short)
    np.testing.assert_array_equal(run.model.record.frame_weights.values, whole.record.frame_weights.values)
    np.testing.assert_array_equal(run.results.latent, whole.encode(chain, Reading(step=4)).latent)
    assert run.embedding.figures.effective_sample_size == whole.figures.effective_sample_size < len(chain) / 4
    np.testing.assert_array_equal(run.embedding.weights.values, weights[::4] / weights[::4].max())

    np.savetxt(tmp_path / "weights.dat", weights)
    some = Embed(chain, whole, weights=str(tmp_path / "weights.dat")).run(start=3, stop=90).embedding
    listed = Embed(chain, whole, weights=weights[3:90]).run(start=3, stop=90).embedding
    wanted = whole.encode(chain, Reading(start=3, stop=90), weights=weights)
    for found in (some, listed):
        np.testing.assert_allclose(found.weights.values, wanted.weights.values, rtol=1e-12)
        assert found.figures.rmsd == pytest.approx(wanted.figures.rmsd, rel=1e-6)
    assert Embed(chain, whole).run(stop=9).embedding.weights is None
    with pytest.raises(OptionError, match="no weights are given"):
        Embed(chain, whole, temperature=300.0).run(stop=9)
