"""A million conformations of 22 atoms by `trajvae generate`, start-up and file included; two cores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from speed.clock import seconds
from speed.processes import trajvae
from speed.products import layers, products
from speed.record import Record, at_most
from trajvae import Model, Reading, TrainConfig

EXAMPLES = Path(__file__).parents[2] / "examples" / "trajectories"
ALANINE = (str(EXAMPLES / "alanine_dipeptide.xtc"), Reading(EXAMPLES / "alanine_dipeptide.pdb", "all"))
NUMBER, ATOMS = 1_000_000, 22
BOUND = 60.0  # s
_AT_ONCE = 10_000


def _written(path: Path) -> None:
    """As many positions in one dataset of float32."""
    with h5py.File(path, "w") as file:
        room = file.create_dataset("positions", (NUMBER, ATOMS, 3), "f4", chunks=(_AT_ONCE, ATOMS, 3))
        piece = np.zeros((_AT_ONCE, ATOMS, 3), dtype=np.float32)
        for i in range(0, NUMBER, _AT_ONCE):
            room[i : i + _AT_ONCE] = piece


def _bare(model: Model, folder: Path) -> float:
    """Seconds of the decoder's products of as many draws, and of a bare write."""
    vae, widths = model.pipeline.vae, model.config.widths
    sizes = layers(vae.features.input_size, widths, 1, vae.latent.ambient_dim)[len(widths) + 1 :]
    decoded = products(sizes, _AT_ONCE, NUMBER // _AT_ONCE, backward=False)
    return decoded() + seconds(lambda: _written(folder / "bare.h5"))()


def generation() -> Iterator[Record]:
    """Cartesian features of alanine dipeptide, all atoms."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = Model.train(ALANINE[0], TrainConfig(features="cartesian", epochs=20), reading=ALANINE[1])
        model.save(folder / "model.h5")
        done = trajvae("generate", "-n", NUMBER, "-m", folder / "model.h5", "-o", folder / "generate.h5md")
        bare = _bare(model, folder)
    what = f"trajvae generate -n {NUMBER:,}, {ATOMS} atoms, Cartesian".replace(",", " ", 1)
    yield at_most(what, "s", done.seconds, ("the bound", BOUND))
    yield at_most(what, "s", done.seconds, ("decoder's products and a bare h5py write", bare), None)
    positions = ("its positions in float32", NUMBER * ATOMS * 12 / 1e9)
    yield at_most(f"{what}: peak memory", "GB", done.peak / 1e9, positions, None)
