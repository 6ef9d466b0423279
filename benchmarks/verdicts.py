"""Verdicts on systems made for the purpose, beside those they were made for: `python benchmarks/verdicts.py`.

Each system has one thing wrong, or nothing. The table says what was expected and what was found, with the reasons; the
last column is `ok` where the verdict is among those expected and the reason that the system was made for is given. Real
frames are those of the examples and of MDAnalysisTests. About ten minutes on two cores.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import MDAnalysis as mda
import numpy as np
from MDAnalysisTests.datafiles import DCD, DCD2, GRO, PSF, XTC

from trajvae import Model, Reading, TrainConfig
from trajvae.outputs.judging.verdicts import judge_embedding
from trajvae.typing import Float64
from trajvae.verdict import CARE, GOOD, UNUSABLE

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
NOT_GOOD = (CARE, UNUSABLE)


class System(NamedTuple):
    """What is judged, the verdicts that are right, the reason that must be given, and what gives the figures."""

    name: str
    expected: tuple[str, ...]
    reason: str
    figures: Callable[[], dict[str, Any]]


def trained(source: Any, reading: Reading | None = None, **options: Any) -> Model:
    """A model of a source, with warnings left out: the verdict is what is looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Model.train(source, TrainConfig(**options), reading=reading)


@cache
def dipeptide() -> Model:
    """Alanine dipeptide's heavy atoms, every second frame before the state that is met once."""
    reading = Reading(EXAMPLES / "alanine_dipeptide.pdb", stop=7000, step=2)
    return trained(str(EXAMPLES / "alanine_dipeptide.xtc"), reading)


@cache
def kinase() -> Model:
    """The 214 C-alphas of adenylate kinase, 98 frames."""
    return trained(DCD, Reading(PSF, "name CA"))


@cache
def carbons(file: str = DCD) -> Float64:
    """Their positions in one of its trajectories, (T, 214, 3)."""
    group = mda.Universe(PSF, file).select_atoms("name CA")
    return np.stack([group.positions.astype(np.float64) for _ in group.universe.trajectory])


def chain(n: int, *, swing: float = 1.0, noise: float = 0.1, seed: int = 0) -> Float64:
    """A chain of ten beads that bends in two independent modes, and noise, (n, 10, 3)."""
    rng = np.random.default_rng(seed)
    turn = np.linspace(0.0, 3.0, 10)
    modes = swing * rng.normal(size=(n, 2))
    x = np.stack(np.broadcast_arrays(3.8 * np.arange(10.0), 3.0 * np.sin(turn), 2.0 * np.cos(turn)), axis=-1)
    x = np.repeat(x[None], n, axis=0)
    x[:, :, 1] += modes[:, :1] * np.sin(turn)
    x[:, :, 2] += modes[:, 1:] * np.sin(2.0 * turn)
    return x + noise * rng.normal(size=x.shape)


def pulled(n: int) -> Float64:
    """The chain, drawn out from end to end once."""
    x = chain(n, swing=0.3)
    x[:, :, 0] *= np.linspace(0.7, 1.3, n)[:, None]
    return x


def molecules(n: int) -> mda.Universe:
    """Eight rods of five bonded atoms that wander on their own."""
    rng = np.random.default_rng(0)
    made = mda.Universe.empty(40, n_residues=8, atom_resindex=np.repeat(np.arange(8), 5), trajectory=True)
    for name, values in (("name", ["C"] * 40), ("type", ["C"] * 40), ("resname", ["ROD"] * 8), ("masses", [12.0] * 40)):
        made.add_TopologyAttr(name, values)
    made.add_TopologyAttr("bonds", [(i, i + 1) for i in range(39) if i % 5 != 4])
    rods = np.tile(np.c_[1.5 * np.arange(5.0), np.zeros((5, 2))], (8, 1)) + np.repeat(np.eye(8, 3) * 9.0, 5, axis=0)
    centres = np.cumsum(rng.normal(size=(n, 8, 3)), axis=0)
    made.load_new(rods + np.repeat(centres, 5, axis=1) + 0.05 * rng.normal(size=(n, 40, 3)))
    return made


def of_embedding(model: Model, frames: Float64) -> dict[str, Any]:
    """The verdict on other frames."""
    found = model.encode(frames)
    inside = None if found.in_support is None else float(found.in_support.mean())
    return judge_embedding(model.figures, float(found.rmsd.mean()), inside).to_json()


def systems() -> Iterator[System]:
    """All of them."""
    pair = str(EXAMPLES / "peptide.xtc"), Reading(EXAMPLES / "peptide.pdb", step=120)
    usual, rng = chain(4000), np.random.default_rng(1)
    order = rng.permutation(214)
    still = np.repeat(chain(1)[:1], 2000, axis=0) + 0.3 * rng.normal(size=(2000, 10, 3))
    joined = np.concatenate([chain(2850), chain(150, seed=3) * np.array([1.0, 1.0, -1.0]) + 4.0 * np.eye(10, 3)])

    @cache
    def bent() -> Model:
        return trained(usual)

    yield System("alanine dipeptide, 3500 frames", (GOOD,), "", lambda: dipeptide().figures)
    yield System("bending chain, 4000 frames", (GOOD,), "", lambda: bent().figures)
    yield System(
        "ten frames in water", (UNUSABLE,), "too_few_frames", lambda: trained(XTC, Reading(GRO, "name CA")).figures
    )
    yield System("AdK, 98 frames of one transition", (CARE,), "one_way", lambda: kinase().figures)
    yield System("peptide, 100 frames", (CARE,), "too_few_frames", lambda: trained(*pair).figures)
    yield System(
        "peptide, 100 frames, auto", (UNUSABLE,), "explains_nothing", lambda: trained(*pair, features="auto").figures
    )
    yield System(
        "collapsed by beta 1000", (UNUSABLE,), "collapsed", lambda: trained(usual, beta=1000.0, epochs=20).figures
    )
    yield System("noise about one structure", NOT_GOOD, "", lambda: trained(still).figures)
    yield System(
        "60 frames, 8 dimensions", NOT_GOOD, "too_few_frames", lambda: trained(chain(60), latent_dim=8).figures
    )
    yield System("400 frames learned by heart", NOT_GOOD, "overfitted", lambda: trained(*memorised()).figures)
    yield System("shuffled atoms", (UNUSABLE,), "atom_order", lambda: trained(carbons()[:, order]).figures)
    yield System("eight molecules", (UNUSABLE,), "separate_molecules", lambda: trained(molecules(1000)).figures)
    yield System("driven pull, 2000 frames", (CARE,), "one_way", lambda: trained(pulled(2000)).figures)
    yield System("another state at the end", (CARE,), "unlike_blocks", lambda: trained(joined).figures)
    yield System("floppy chain, close in time", NOT_GOOD, "alignment_jumps", lambda: trained(close()).figures)
    yield System("the same molecule again", (GOOD,), "", lambda: of_embedding(bent(), chain(1000, seed=5)))
    yield System(
        "a hotter trajectory", NOT_GOOD, "out_of_support", lambda: of_embedding(bent(), chain(1000, swing=2.5, seed=6))
    )
    yield System(
        "another molecule",
        (UNUSABLE,),
        "unknown_frames",
        lambda: of_embedding(bent(), 1.5 * chain(500, seed=7)[:, ::-1]),
    )
    yield System("another trajectory of AdK", NOT_GOOD, "unknown_frames", lambda: of_embedding(kinase(), carbons(DCD2)))
    yield System("draws of a good model", (GOOD,), "", lambda: bent().generate(500).figures)
    yield System("draws of AdK", (UNUSABLE,), "conformations_not_valid", lambda: kinase().generate(200).figures)


def memorised() -> tuple[Float64]:
    """Frames with far more motions than two dimensions hold: what is left is learned by heart."""
    rng = np.random.default_rng(2)
    rod = np.c_[3.8 * np.arange(60.0), np.zeros((60, 2))]
    return (np.asarray(rod + 2.0 * rng.normal(size=(400, 60, 3))),)


def close() -> Float64:
    """The 3-D bead chain whose frames are close in time."""
    return np.asarray(np.load(EXAMPLES / "chain3d_close.npz")["positions"][:3000], dtype=np.float64)


def right(system: System, found: dict[str, Any]) -> bool:
    """Whether the verdict is one of those expected, with the reason that was meant."""
    names = [reason["name"] for reason in found["reasons"]]
    return found["verdict"] in system.expected and (not system.reason or system.reason in names)


def main() -> None:
    """Print the table; exit 1 where a verdict is another than intended."""
    print("| system | expected | found | reasons | |\n|---|---|---|---|---|")
    wrong = 0
    for system in systems():
        found = system.figures()
        names = ", ".join(reason["name"] for reason in found["reasons"])
        good = right(system, found)
        wrong += not good
        row = [system.name, " or ".join(system.expected), found["verdict"], names, "ok" if good else "MISS"]
        print(f"| {' | '.join(row)} |", flush=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
