"""`compare`: which latent space a trajectory asks for, from reading to the table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

from trajvae.arguments.keywords import spelled_out
from trajvae.arguments.user_functions import importing, names_given
from trajvae.config import CandidateOptions, TrainConfig
from trajvae.errors import OptionError
from trajvae.frame_weights import read_weights
from trajvae.latents import LATENTS, latent_options, make_latent, resolve_settings
from trajvae.model import Model
from trajvae.outputs.compare import compare_trials
from trajvae.outputs.judging.trials import ComparisonPlan, check_frames, examine, train_all
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source, selection_of
from trajvae.results.comparison import Comparison
from trajvae.training.frame_source import untimed_files
from trajvae.training.options import CONFIG_DEFAULTS


@spelled_out(CandidateOptions, CONFIG_DEFAULTS)
def candidates(
    backends: Sequence[str] = (),
    dims: Sequence[int] | None = None,
    settings: Mapping[str, object] | None = None,
    **shared: Unpack[CandidateOptions],
) -> dict[str, TrainConfig]:
    """Return configurations that differ in their latent space alone.

    Parameters
    ----------
    backends : sequence of str
        All by default.
    dims : sequence of int, optional
        Each with every backend; names then end in `:DIM` where there are several.
    settings : mapping, optional
        Options of latent spaces: KEY for all that know it, or BACKEND.KEY.
    signature, features, likelihood, torsions, free_bits, align, center, beta, lag, slowness, epochs,\
        batch_size, hidden, select, seed
        The fields of `TrainConfig`, alike for all. A signature is for the product alone.

    Raises
    ------
    OptionError
        An unknown backend, or a setting that no backend has.
    """
    backends = list(dict.fromkeys(backends)) or list(LATENTS)
    own = {backend: _settings(backend, settings or {}) for backend in backends}
    for key in settings or {}:
        if not any(key.rpartition(".")[2] in known for known in own.values()):
            raise OptionError(
                f"no option '{key}' of {', '.join(backends)}; 'trajvae info --options BACKEND' lists them"
            )
    signature = shared.pop("signature", None)
    if signature is not None and "product" not in backends:
        raise OptionError(f"a signature needs the backend 'product', got {', '.join(backends)}")
    wanted = list(dict.fromkeys(dims)) if dims else [None]
    out = {}
    for dim in wanted:
        for backend in backends:
            signed = backend == "product" and signature is not None
            name = backend if len(wanted) == 1 or signed else f"{backend}:{dim}"
            mine = {"signature": signature} if signed else {"latent_dim": dim}
            out[name] = TrainConfig(backend=backend, settings=own[backend], **mine, **shared)
    with importing(names_given(settings or {})):
        for config in out.values():  # what is wrong is said before anything is trained
            settled = dataclasses.replace(config, settings=resolve_settings(config.backend, config.settings))
            make_latent(config.backend, config.latent_dim, settled.latent_settings())
    return out


def _settings(backend: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Those that a backend knows, or that name it."""
    known = {o["name"] for o in latent_options(backend)}
    out = {key: value for key, value in settings.items() if key in known}
    prefix = f"{backend}."
    return out | {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}


def compare(
    source: object,
    configs: Sequence[str] | Mapping[str, TrainConfig] = (),
    *,
    reading: Reading | None = None,
    plan: ComparisonPlan | None = None,
    models: Mapping[str, Model] | None = None,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    weights: object = None,
    temperature: float | None = None,
) -> Comparison:
    """Train several latent spaces on the same frames and compare their held-out evidence.

    Parameters
    ----------
    source : str, Path, ndarray, Universe, AtomGroup, mdtraj.Trajectory, or a sequence of such
        As `Model.train` takes it.
    configs : sequence of str, or mapping of str to TrainConfig
        Backends by name (all by default), or configurations by a name of one's own. Epochs that are not given are at
        most 50.
    reading : Reading, optional
    plan : ComparisonPlan, optional
        Draws, held-out frames, repeats, processes.
    models : mapping of str to Model, optional
        Trained before on these very frames, compared too.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with (models done, models in all).
    weights, temperature : optional
        Of the frames, as of `Model.train`: candidates are trained and judged with them.

    Raises
    ------
    TrajvaeError
        What cannot be read, learned from or compared.

    Examples
    --------
    >>> from trajvae import compare
    >>> compare("traj.dcd", ["euclidean", "hyperspherical"]).best       # doctest: +SKIP
    """
    plan, reading, models = plan or ComparisonPlan(), reading or Reading(), models or {}
    chosen = dict(configs) if isinstance(configs, Mapping) else {}
    if not isinstance(configs, Mapping) and (configs or not models):
        chosen = candidates(configs)
    if set(chosen) & set(models):
        raise OptionError(f"names stand for one model each, got '{min(set(chosen) & set(models))}' twice")
    opened = [model.open(source, reading) for model in models.values()]  # refuses another molecule
    wanted = next((c.select for c in [*chosen.values(), *(m.config for m in models.values())] if c.select), None)
    reading = dataclasses.replace(reading, select=reading.select or wanted)
    kept = selection_of(source, reading.select)
    chosen = {name: dataclasses.replace(config, select=kept) for name, config in chosen.items()}
    frames = opened[0] if opened else open_source(source, reading)
    own = read_weights(weights, frames, temperature)
    chunk = frames.read()
    for name, model in models.items():
        check_frames(name, model.pipeline, model.record, chunk)
    trials = [examine(name, m.pipeline, m.record, chunk, plan, weights=own) for name, m in models.items()]
    trials += train_all(
        chunk,
        frames.topology,
        chosen,
        plan,
        precision=frames.precision,
        device=device,
        progress=progress,
        weights=own,
        untimed=untimed_files(frames),
    )
    found = compare_trials(trials)
    seed = next((c.seed for c in chosen.values()), 0)
    return dataclasses.replace(found, seed=seed, command=f"compare({', '.join(found.entries)})")
