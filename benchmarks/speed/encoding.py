"""`Model.encode` of a file, beside a bare read of the selection and the parts that must be; one thread."""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import MDAnalysis as mda
import mdtraj
import numpy as np
from MDAnalysis.lib.formats.libdcd import DCDFile
from MDAnalysisTests.datafiles import DCD, PSF
from mdtraj.formats import DCDTrajectoryFile, XTCTrajectoryFile

from speed.adk import SELECTION, alphas, files
from speed.clock import Timer, Times, in_turn, seconds
from speed.products import layers, products
from speed.record import Record, at_most
from speed.superposition import by_mdtraj
from trajvae import Model, Reading, TrainConfig
from trajvae.typing import Float32, Int64

FRAMES, ROUNDS = 2000, 7
PARTS = 1.5  # times superposition and products
XTC_BOUND = 1.35  # times its read


def _reads(kind: str, path: Path, atoms: Int64) -> dict[str, Timer]:
    """Every way of the two libraries to read the selection; the topology is parsed already."""
    opened = mda.Universe(PSF, str(path))
    chosen, top = opened.atoms[atoms], mdtraj.load_psf(PSF)
    bare_mdtraj = DCDTrajectoryFile if kind == "DCD" else XTCTrajectoryFile

    def by_file() -> object:
        with bare_mdtraj(str(path)) as file:
            return file.read(atom_indices=atoms)

    out = {
        f"mdtraj {bare_mdtraj.__name__}.read": by_file,
        "mdtraj.load": lambda: mdtraj.load(str(path), top=top, atom_indices=atoms),
        "MDAnalysis timeseries": lambda: opened.trajectory.timeseries(asel=chosen, order="fac"),
    }
    if kind == "DCD":

        def by_libdcd() -> object:
            with DCDFile(str(path)) as file:
                return file.readframes(indices=atoms)

        out["MDAnalysis DCDFile.readframes"] = by_libdcd
    return {f"read, {name}": seconds(run) for name, run in out.items()}


def _parts(model: Model, x: Float32) -> dict[str, Timer]:
    """Superposition, by us and by mdtraj, and the encoder's products of all frames."""
    reference = model.pipeline.alignment.reference.astype(np.float32)
    encoder = model.pipeline.vae.encoder
    sizes = layers(model.pipeline.vae.features.input_size, model.config.widths, sum(encoder.sizes.values()), 1)
    return {
        "superposition, ours": seconds(lambda: model.pipeline.alignment.apply(x)),
        "superposition, mdtraj": seconds(by_mdtraj(x.copy(), reference)),
        "products": products(sizes[: len(model.config.widths) + 1], len(x), 1, backward=False),
    }


def _bound(times: Times) -> tuple[str, float, float]:
    """In words, in seconds, and the read alone."""
    read = times.fastest(n for n in times.rounds if n.startswith("read"))
    turn = times.fastest(n for n in times.rounds if n.startswith("superposition"))
    alone, rest = times.median(read), times.median(turn) + times.median("products")
    parts = f"{turn} {1e3 * times.median(turn):.1f} ms + encoder's products {1e3 * times.median('products'):.1f} ms"
    return f"{read} {1e3 * alone:.0f} ms + {PARTS:g} x ({parts})", alone + PARTS * rest, alone


def _records(kind: str, times: Times) -> Iterator[Record]:
    """Latents only, and the full call beside the same bound."""
    words, bound, alone = _bound(times)
    what = f"Model.encode, {FRAMES} frames of AdK, {kind}"
    others = ", ".join(f"{n} {1e3 * times.median(n):.0f} ms" for n in times.rounds if n.startswith("read"))
    if "latents" in times.rounds:
        latents = times.median("latents")
        yield replace(at_most(f"{what}, latents only", "s", latents, (words, bound)), note=others)
        if kind == "XTC":
            yield at_most(f"{what}, latents only", "s", latents, (words.split(" + ")[0], alone), XTC_BOUND)
    yield replace(at_most(f"{what}, all figures", "s", times.median("all"), (words, bound), None), note=others)


def encoding() -> Iterator[Record]:
    """DCD and XTC; the model is loaded, the file and its topology are opened by the call."""
    warnings.simplefilter("ignore")
    atoms, x = alphas()
    many = x[np.arange(FRAMES) % len(x)]
    with tempfile.TemporaryDirectory() as folder:
        Model.train(DCD, TrainConfig(epochs=5), reading=Reading(PSF, SELECTION)).save(f"{folder}/model.h5")
        model = Model.load(f"{folder}/model.h5")
        for kind, path in files(Path(folder), FRAMES).items():
            timers = {"all": seconds(lambda p=path: model.encode(str(p), Reading(PSF, SELECTION)))}
            if "rmsd" in inspect.signature(Model.encode).parameters:
                timers["latents"] = seconds(lambda p=path: model.encode(str(p), Reading(PSF, SELECTION), rmsd=False))
            yield from _records(kind, in_turn({**timers, **_reads(kind, path, atoms), **_parts(model, many)}, ROUNDS))
