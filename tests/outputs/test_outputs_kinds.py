"""Each kind of observables by itself: what is called different, what cannot be told, and how the worst is named."""

from __future__ import annotations

from collections import Counter

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysisTests.datafiles import DCD, PSF
from scipy.signal import lfilter
from scipy.spatial.distance import jensenshannon

from trajvae import Model, Reading, TrainConfig
from trajvae.molecule.histogram_divergence import bin_edges, histogram
from trajvae.outputs.judging.errors_of_means import mean_error
from trajvae.outputs.judging.histograms import compare
from trajvae.outputs.judging.observable_kinds import VERDICTS, divisions, floors, judge, kind_of
from trajvae.outputs.marginals import halves
from trajvae.results import Kind, Marginal, Marginals
from trajvae.typing import Float64


def _judged(simulated: Float64, model: Float64, prefix: str = "bond_", seed: int = 0) -> Kind:
    """Simulated frames (T, M) and draws (n, M) of one kind."""
    n = len(simulated)
    a, b = halves(n)
    both, block = np.concatenate([a, b]), np.arange(n) * min(20, n // 2) // n
    first = divisions(int(block.max()) + 1, seed)
    table = {
        f"{prefix}{k}": compare(simulated[a, k], simulated[b, k], model[: len(a), k], "A")
        for k in range(model.shape[1])
    }
    floor = {name: floors(simulated[both, k], block[both], m.edges, first) for k, (name, m) in enumerate(table.items())}
    columns = {f"{prefix}{k}": simulated[:, k] for k in range(model.shape[1])}
    (kind,) = judge(table, floor, {}, lambda name: mean_error(columns[name], np.arange(n)).independent)
    return kind


def _correlated(random: np.random.Generator, frames: int, columns: int, time: float) -> Float64:
    """Normal numbers whose correlation falls by e in so many frames."""
    keep = np.exp(-1.0 / time) if time else 0.0
    noise = random.normal(size=(frames, columns)) * np.sqrt(1.0 - keep**2)
    noise[0] /= np.sqrt(1.0 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=0))


# --- verdicts


@pytest.mark.parametrize(
    ("frames", "time", "verdict"), [(100, 0.0, "too few frames"), (100, 50.0, "too few frames"), (2000, 5.0, "agrees")]
)
def test_a_perfect_model_is_not_called_different(frames: int, time: float, verdict: str) -> None:
    """Draws from the law that the simulation follows: at most a tenth get another verdict."""
    random, told = np.random.default_rng(0), Counter[str]()
    for trial in range(30):
        columns = int(random.choice([1, 20]))
        simulated = _correlated(random, frames, columns, time)
        told[_judged(simulated, random.normal(size=(frames, columns)), seed=trial).verdict] += 1
    assert told[verdict] >= 27


def test_one_of_many_that_is_off_is_found_and_named() -> None:
    """Of twenty bonds one is too wide: the mean hides it, the verdict does not."""
    random = np.random.default_rng(0)
    simulated, model = random.normal(size=(100, 20)), random.normal(size=(100, 20))
    model[:, 13] *= 5.0
    found = _judged(simulated, model)
    assert (found.kind, found.count, found.verdict, found.worst) == ("bonds", 20, "differs", "bond_13")
    assert found.worst_jsd > found.worst_noise_floor + 0.2 and found.jsd < found.noise_floor + 0.1


def test_a_small_difference_is_called_close() -> None:
    """A tenth of a standard deviation shows in 20 000 frames and is small; a whole one is not."""
    random = np.random.default_rng(0)
    simulated, model = random.normal(size=(20_000, 3)), random.normal(size=(20_000, 3))
    assert [_judged(simulated, model + shift).verdict for shift in (0.1, 1.0)] == ["close", "differs"]


def test_a_run_that_drifts_has_a_floor_that_says_so() -> None:
    """Where earlier and later halves differ, a model of the whole is not blamed for it."""
    random = np.random.default_rng(0)
    simulated = np.linspace(-3.0, 3.0, 200)[:, None] + random.normal(size=(200, 1))
    assert _judged(simulated, random.permutation(simulated)).verdict == "too few frames"


def test_a_gross_difference_shows_in_few_independent_frames() -> None:
    """Where a slow motion is known from one excursion, a model that is nowhere near it is called different."""
    simulated = _correlated(np.random.default_rng(2), 100, 3, 100.0)
    assert _judged(simulated, simulated + 20.0).verdict == "differs"
    assert _judged(simulated, np.random.default_rng(3).normal(size=(100, 3))).verdict == "too few frames"


def test_the_worst_kind_is_first() -> None:
    """By verdict, then by how far it is above its floor."""
    random = np.random.default_rng(0)
    values: dict[str, tuple[Float64, float]] = {
        name: (random.normal(size=4000), shift)
        for name, shift in (("rg", 0.0), ("bond_a", 3.0), ("phi_1", 1.0), ("psi_1", 0.0), ("end_to_end", 0.0))
    }
    block = np.arange(4000) // 200
    table: dict[str, Marginal] = {k: compare(v[:2000], v[2000:], v[:2000] + s, "A") for k, (v, s) in values.items()}
    first = divisions(20)
    found = judge(
        table,
        {k: floors(v, block, table[k].edges, first) for k, (v, _) in values.items()},
        {"phi_1": "x"},
        lambda name: 4000.0,
    )
    assert [k.kind for k in found[:2]] == ["bonds", "torsions"]
    assert {k.kind for k in found[2:]} == {"radius of gyration", "end-to-end distance"}
    assert (found[1].worst, found[1].worst_atoms, found[1].count) == ("phi_1", "x", 2)
    assert [k.verdict for k in found] == ["differs", "differs", "agrees", "agrees"]


# --- floors


def test_divisions_are_halves() -> None:
    """Each has half of the blocks; those in time are runs that go round the end."""
    for blocks in (5, 20):
        first = divisions(blocks)
        assert first.shape == (100 + blocks, blocks) and set(first.sum(axis=1)) == {-(-blocks // 2)}
        for row in first[100:]:
            assert (row != np.roll(row, 1)).sum() == 2
    assert len({tuple(row) for row in divisions(20)[:100]}) > 95


def test_floors_are_divergences_of_halves() -> None:
    """Each is scipy's, of the histograms of the two halves; far values count in the outermost bins."""
    random = np.random.default_rng(0)
    values, block = random.normal(size=400), np.arange(400) // 40
    edges, first = bin_edges([values[:300]]), divisions(10)
    values[5] = 1e5
    found = floors(values, block, edges, first)
    for row, value in zip(first[::25], found[::25], strict=True):
        halved = [histogram(values[half[block]], edges) for half in (row, ~row)]
        assert value == pytest.approx(float(jensenshannon(*halved, base=2)) ** 2, abs=1e-9)


# --- names


def test_every_observable_has_a_kind() -> None:
    """By the beginning of its name."""
    names = ("bond_C1-C2", "angle_1-2-3", "phi_4", "psi_4", "distance_0-1", "rg", "end_to_end", "other")
    assert [kind_of(n) for n in names] == [
        *("bonds", "angles", "torsions", "torsions", "pair distances", "radius of gyration", "end-to-end distance"),
        "other",
    ]


@pytest.fixture(scope="module")
def found() -> Marginals:
    """Five residues of adenylate kinase, 98 frames, and a model that has hardly been trained."""
    reading = Reading(topology=PSF, select="backbone and resid 10:14")
    model = Model.train(DCD, TrainConfig(epochs=3, hidden=(16,)), reading=reading, device="cpu")
    return model.marginals(geometry="none")


def test_few_frames_do_not_acquit_bonds(found: Marginals) -> None:
    """The noise floor of pair distances hides much, that of bonds does not: each is judged by its own."""
    by_kind = {k.kind: k for k in found.kinds}
    assert set(by_kind) == {
        *("bonds", "angles", "torsions", "pair distances", "radius of gyration", "end-to-end distance")
    }
    assert found.n < 50 and found.kinds[0].verdict == by_kind["bonds"].verdict == "differs"
    assert all(k.verdict in VERDICTS for k in found.kinds)
    for kind in found.kinds:
        members = [m for name, m in found.table.items() if kind_of(name) == kind.kind]
        assert kind.count == len(members) and kind.jsd == pytest.approx(np.mean([m.jsd for m in members]))
        worst = found.table[kind.worst]
        assert (kind.worst_jsd, kind.worst_noise_floor, kind.worst_w1) == (worst.jsd, worst.noise_floor, worst.w1)
        assert kind.unit == worst.unit


def test_the_worst_is_named_by_its_atoms(found: Marginals) -> None:
    """Residue and names as MDAnalysis has them."""
    bonds = next(k for k in found.kinds if k.kind == "bonds")
    atoms = mda.Universe(PSF).select_atoms("backbone and resid 10:14").atoms
    numbers = [int("".join(c for c in part if c.isdigit())) for part in bonds.worst.removeprefix("bond_").split("-")]
    one, other = atoms[numbers]
    own = f"{one.resname}{one.resid} {one.name}"
    expected = f"-{other.name}" if one.resid == other.resid else f", {other.resname}{other.resid} {other.name}"
    assert bonds.worst_atoms == own + expected
