"""The latent mean in numpy: equal to `encode`, with the gradient of finite differences, invariant, always finite."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from collections.abc import Callable

import MDAnalysis as mda
import numpy as np
import pytest
from export_models import CASES

from trajvae import Model
from trajvae.alignment.align import Alignment
from trajvae.errors import ModelError, OptionError, ReadError
from trajvae.export import LatentCV
from trajvae.export.by_autograd import ByAutograd
from trajvae.export.latent_cv import stages_of
from trajvae.export.network import Affine, Network
from trajvae.export.orthonormal import OrthonormalRows
from trajvae.export.points import ProductPoints, UnitVectors
from trajvae.export.superposed import Superposed
from trajvae.features import ShapeSpace
from trajvae.typing import Float64

Trained = Callable[..., Model]


def differences(cv: LatentCV, x: Float64, step: float = 1e-5) -> Float64:
    """Central differences of a frame's latent point by its positions, (M, N, 3)."""
    steps = step * np.eye(x.size).reshape(-1, *x.shape)
    return ((cv(x + steps) - cv(x - steps)) / (2.0 * step)).T.reshape(-1, *x.shape)


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, trained: Trained) -> tuple[Model, LatentCV]:
    """A model, and its latent mean."""
    model = trained(*request.param)
    return model, LatentCV(model)


def test_it_is_what_encode_gives(case: tuple[Model, LatentCV], moved: Float64) -> None:
    """100 frames turned and shifted at random, in float64: 1e-9; in float32, as files have them: 1e-5."""
    model, cv = case
    exact = model.pipeline.encode(moved)[0].latent
    assert exact.std(axis=0).max() > 0.01
    np.testing.assert_allclose(cv(moved), exact, rtol=0, atol=1e-9)
    single = moved.astype(np.float32)
    scale = max(1.0, float(np.abs(exact).max()))
    np.testing.assert_allclose(cv(single), model.pipeline.encode(single)[0].latent, rtol=0, atol=1e-5 * scale)


def test_the_gradient_is_that_of_differences(case: tuple[Model, LatentCV], moved: Float64) -> None:
    """Relative to the largest component, for frames from the trajectory."""
    _, cv = case
    for x in moved[::40]:
        found, wanted = cv.value_and_gradient(x)[1], differences(cv, x)
        assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_one_frame_and_many_agree(case: tuple[Model, LatentCV], moved: Float64) -> None:
    """Shapes are those of the docstrings, and no frames at all give none."""
    _, cv = case
    z, gradient = cv.value_and_gradient(moved[:7])
    assert z.shape == (7, cv.n_outputs) and gradient.shape == (7, cv.n_outputs, 10, 3)
    one, its = cv.value_and_gradient(moved[3])
    np.testing.assert_allclose(one, z[3], atol=1e-12)
    np.testing.assert_allclose(its, gradient[3], atol=1e-10)
    np.testing.assert_allclose(cv(moved[3]), z[3], atol=1e-12)
    assert cv(moved[:0]).shape == (0, cv.n_outputs)
    assert cv.value_and_gradient(moved[:0])[1].shape == (0, cv.n_outputs, 10, 3)


def test_forces_neither_push_nor_turn_the_molecule(case: tuple[Model, LatentCV], moved: Float64) -> None:
    """Net force and torque of every component are below 1e-10."""
    _, cv = case
    gradient = cv.value_and_gradient(moved)[1]
    assert np.abs(gradient.sum(axis=2)).max() < 1e-10
    arms = (moved - moved.mean(axis=1, keepdims=True))[:, None]
    assert np.abs(np.cross(arms, gradient).sum(axis=2)).max() < 1e-10


def test_numbers_are_finite_everywhere(case: tuple[Model, LatentCV], moved: Float64) -> None:
    """Of atoms at one point, of the reference itself, of its mirror image, of atoms in line and nearly so."""
    model, cv = case
    line = np.zeros_like(moved[0])
    line[:, 0] = 1.4 * np.arange(len(line))
    nearly = line + 1e-7 * np.random.default_rng(0).normal(size=line.shape)
    reference = model.pipeline.alignment.reference
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (0.0 * line, reference, reference * [1.0, 1.0, -1.0], line, nearly):
            z, gradient = cv.value_and_gradient(x)
            assert np.isfinite(z).all() and np.isfinite(gradient).all()


def test_pickling_keeps_it(case: tuple[Model, LatentCV], moved: Float64) -> None:
    """To the bit; OpenMM serialises systems so."""
    _, cv = case
    again = pickle.loads(pickle.dumps(cv))
    for a, b in zip(cv.value_and_gradient(moved[0]), again.value_and_gradient(moved[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_backend_is_by_hand(trained: Trained) -> None:
    """No step is left to automatic differentiation."""
    kinds = {
        "euclidean": [Superposed, Network],
        "hyperspherical": [Superposed, Network, UnitVectors],
        "product": [Superposed, Network, ProductPoints],
        "rhvae": [Superposed, Network],
        "embedded": [Superposed, Network, OrthonormalRows, Affine],
    }
    for backend, wanted in kinds.items():
        assert [type(stage) for stage in stages_of(trained(backend).pipeline)] == wanted


@pytest.mark.parametrize(
    ("settings", "by_hand"),
    [
        ({"manifold": "sphere:2", "posterior": "beta"}, True),
        ({"manifold": "sphere:3"}, False),
        ({"manifold": "circle", "posterior": "beta", "group": False}, False),
    ],
    ids=str,
)
def test_embeddings_of_all_kinds(
    settings: dict[str, object], by_hand: bool, dipeptide: mda.Universe, moved: Float64
) -> None:
    """With isometries by hand, without them by PyTorch: the same numbers as `encode`, with their derivatives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model.train(
            dipeptide, backend="embedded", latent_dim=None, settings=settings, epochs=2, hidden=(16,), step=100,
            device="cpu",
        )  # fmt: skip
    cv = LatentCV(model)
    assert (OrthonormalRows in map(type, cv.stages)) == by_hand == (ByAutograd not in map(type, cv.stages))
    np.testing.assert_allclose(cv(moved), model.pipeline.encode(moved)[0].latent, rtol=0, atol=1e-9)
    wanted = differences(cv, moved[5])
    assert np.abs(cv.value_and_gradient(moved[5])[1] - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert np.isfinite(cv.value_and_gradient(np.zeros((10, 3)))[1]).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cv))(moved[5]), cv(moved[5]))


def test_wide_frames_keep_their_narrow_inputs(dipeptide: mda.Universe) -> None:
    """With far fewer principal components than coordinates, features and first layer stay two matrices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model.train(dipeptide, select="all", epochs=1, hidden=(64,), step=300, device="cpu")
    cv = LatentCV(model)
    assert [type(stage) for stage in cv.stages] == [Superposed, Affine, Network]
    x = model.record.sample[:3].astype(np.float64)
    np.testing.assert_allclose(cv(x), model.pipeline.encode(x)[0].latent, atol=1e-9)
    np.testing.assert_allclose(cv.value_and_gradient(x[0])[1], differences(cv, x[0]), rtol=1e-5, atol=1e-8)


def test_frames_that_were_aligned_before_are_taken_as_they_come(trained: Trained, moved: Float64) -> None:
    """Without superposition the coordinate is not invariant, as `encode` is not."""
    model = trained()
    given = dataclasses.replace(model.pipeline.alignment, kind="none")
    stages = stages_of(_with(model, given).pipeline)
    assert type(stages[0]).__name__ == "AsGiven"


def _with(model: Model, alignment: Alignment) -> Model:
    """The same model with another alignment."""
    p = model.pipeline
    other = type(p)(p.config, p.sizes, p.topology, alignment, p.vae, p.baseline, p.device)
    return Model(other, model.record, model.files, model.selection)


def test_what_has_no_forces_is_refused(trained: Trained, tiny_model: Model) -> None:
    """Principal axes jump, and engines simulate in space."""
    model = trained()
    with pytest.raises(ModelError, match="--align superpose"):
        LatentCV(_with(model, dataclasses.replace(model.pipeline.alignment, kind="principal")))
    with pytest.raises(ModelError, match="2 dimensions"):
        LatentCV(tiny_model)


def test_wrong_frames_are_refused(trained: Trained, moved: Float64) -> None:
    """Another number of atoms, and numbers that are none."""
    cv = LatentCV(trained())
    with pytest.raises(OptionError, match="positions of 10 atoms"):
        cv(moved[:, :9])
    with pytest.raises(ReadError, match="not finite"):
        cv(np.full((10, 3), np.nan))
    assert repr(cv) == "<LatentCV euclidean, 2 outputs of 10 atoms>"


def test_features_of_a_user_s_own_go_by_autograd(trained: Trained, moved: Float64) -> None:
    """Where inputs are not known to be affine in aligned frames, PyTorch differentiates them."""

    class Own(ShapeSpace):
        """Shape space that does not say so."""

        def affine(self) -> None:
            """Nothing is known."""

    model = _with(trained(), trained().pipeline.alignment)
    known = LatentCV(model)
    features = model.pipeline.vae.features
    try:
        features.__class__ = Own
        cv = LatentCV(model)
    finally:
        features.__class__ = ShapeSpace
    assert ByAutograd in map(type, cv.stages)
    for a, b in zip(cv.value_and_gradient(moved[:4]), known.value_and_gradient(moved[:4]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_masses_weigh_the_superposition(dipeptide: mda.Universe, moved: Float64) -> None:
    """With `center="mass"` the centre and the rotation are those of the masses, in value and derivative."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model.train(dipeptide, center="mass", epochs=2, hidden=(16,), step=100, device="cpu")
    cv = LatentCV(model)
    np.testing.assert_allclose(cv(moved), model.pipeline.encode(moved)[0].latent, rtol=0, atol=1e-9)
    np.testing.assert_allclose(cv.value_and_gradient(moved[0])[1], differences(cv, moved[0]), rtol=1e-5, atol=1e-8)
