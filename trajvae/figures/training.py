"""The figures of a training: what `train` reports of it, and what a model file keeps of it as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Self

from trajvae.figures.frame_findings import UnlikeBlock, unlike_blocks
from trajvae.figures.json_checks import Check, number, numbers, numbers_by_name, or_none, reasons, text, truth, wrong
from trajvae.verdict import Reason, Verdict

_LAGGED = ("lag", "lag_frames", "slowness", "vamp2")  # figures of a training with a lag time
_LEFT_OUT = (
    "feature_choice",
    "effective_sample_size",
    *_LAGGED,
)  # figures that are not in the JSON where they are None


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingFigures(Mapping[str, Any]):
    """Hold the figures of a training.

    They are a read-only mapping too, from the names that the JSON has to the values that the JSON has: a figure of an
    earlier or a later version can be looked up there. What a model of an earlier version does not have is None, or
    empty, as an attribute, and is missing in the mapping.

    Attributes
    ----------
    frames, trained, validation, held_out : int
        Number of frames: of all, of those that the networks learned from, of those that decided when to stop, and of
        those that the training has not seen.
    atoms : int
    features : int
        Number of coordinates that are modelled, F.
    feature_kind, backend : str
    latent_dim : int
        Intrinsic.
    elbo : float
        Mean ELBO of held-out frames, in nats a frame, as a density of the features.
    elbo_shape : float or None
        The same as a density of shapes, which compares between features and alignments; None where it is not known.
    elbo_shape_note : str or None
        Why `elbo_shape` is not known.
    rmsd, pca_rmsd : float
        Mean RMSD in Å of held-out frames to their reconstruction, and to that by as many principal components.
    held_out_valid : float
        Share of held-out frames that the validity test accepts.
    frame_jump, frame_jump_optimal : float or None
        Largest RMSD in Å between neighbouring frames, as aligned and as optimally superposed; None without neighbours.
    degenerate : int
        Number of frames whose principal axes are nearly degenerate.
    kl : mapping of str to float
        Mean KL divergence from the prior of held-out frames in nats a frame, by part of the latent space.
    active_units : int
        Number of latent dimensions in use.
    collapsed : bool
        Whether no latent dimension is in use.
    mutual_information : float
        Of frames and latent points, in nats.
    prior_gap : float
        KL divergence in nats from all posteriors together to the prior.
    unlike_blocks : tuple of UnlikeBlock
    curvatures : mapping of str to float
        Curvature of each curved factor of a product, in units of 1 / (prior width)².
    geometry : str
        Signature of the latent manifold.
    diagnostics : mapping of str to float
        Of the latent space; see the page on backends.
    train_rmsd : float
        Mean RMSD in Å of training frames to their reconstruction.
    draws_valid : float
        Share of draws that are valid.
    spread : float
        Mean square deviation of draws from their mean, divided by that of training frames: the ratio of total
        variances.
    mean_rmsd : float
        Mean RMSD in Å of held-out frames to the mean structure.
    drift : float
        Rank correlation of the first principal component with time, without its sign; 0 for several files.
    crossings : int
        How often that component passes between its outer quarters.
    molecules : int
        Number of separate molecules.
    apart, within : float
        Root mean square motion in Å of the molecules' centres, and of atoms about their molecule's centre.
    order : float
        Median distance of neighbours in the file, divided by that of nearest atoms.
    spectrum : tuple of float
        Ratios of the first ten eigenvalues of the covariance of draws' coordinates to those of training frames, largest
        first.
    novelty : float
        Median RMSD of draws to the nearest training frame, divided by that of held-out frames.
    verdict : str or None
        `good`, `usable with care` or `not usable`.
    reasons : tuple of Reason
        Reasons of the verdict, worst first.
    epochs, kept_epoch : int
        Number of epochs, and the epoch whose weights were kept.
    seconds : float
        Duration in seconds.
    batch_size : int
    likelihood : str
    feature_choice : mapping of str to float, or None
        What is wrong with draws of a quickly fitted model in each kind of features, in bits, where `auto` chose
        between them: divergences of pair distances and of torsions, and the share of draws that stay invalid.
    copies : int
        Number of frames that equal an earlier one.
    effective_sample_size : float or None
        Number of frames of equal weight that all frames are worth; None where they have no weights. With weights, means
        over frames are weighted.
    lag : float or None
        Lag time in ps; None without one, or where the frames have no times.
    lag_frames : int or None
        The same in frames as they are read.
    slowness : float or None
        Nats a frame that a VAMP-2 score of 1 was worth in training.
    vamp2 : float or None
        VAMP-2 score of the posteriors' means of held-out frames at the lag time, with the constant: 1 where nothing of
        a frame is left in its successor, 1 more for each coordinate that does not change.
    absent : frozenset of str
        Names of figures that the model's version did not have.
    further : mapping of str to JSON
        Figures of a later version.
    """

    frames: int
    trained: int | None = None
    validation: int | None = None
    held_out: int
    atoms: int
    features: int
    feature_kind: str
    backend: str
    latent_dim: int
    elbo: float
    elbo_shape: float | None = None
    elbo_shape_note: str | None = None
    rmsd: float
    pca_rmsd: float
    held_out_valid: float
    frame_jump: float | None = None
    frame_jump_optimal: float | None = None
    degenerate: int
    kl: Mapping[str, float] = field(default_factory=dict)
    active_units: int | None = None
    collapsed: bool | None = None
    mutual_information: float | None = None
    prior_gap: float | None = None
    unlike_blocks: tuple[UnlikeBlock, ...] = ()
    curvatures: Mapping[str, float] = field(default_factory=dict)
    geometry: str = ""
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    train_rmsd: float | None = None
    draws_valid: float | None = None
    spread: float | None = None
    mean_rmsd: float | None = None
    drift: float | None = None
    crossings: int | None = None
    molecules: int | None = None
    apart: float | None = None
    within: float | None = None
    order: float | None = None
    spectrum: tuple[float, ...] = ()
    novelty: float | None = None
    verdict: str | None = None
    reasons: tuple[Reason, ...] = ()
    epochs: int
    kept_epoch: int | None = None
    seconds: float
    batch_size: int | None = None
    likelihood: str = ""
    feature_choice: Mapping[str, float] | None = None
    copies: int | None = None
    effective_sample_size: float | None = None
    lag: float | None = None
    lag_frames: int | None = None
    slowness: float | None = None
    vamp2: float | None = None
    absent: frozenset[str] = frozenset()
    further: Mapping[str, object] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        for name in _checks():
            if name not in self.absent and not (name in _LEFT_OUT and getattr(self, name) is None):
                yield name
        yield from self.further

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Any:
        if name in self.further:
            return self.further[name]
        if name not in list(self):
            raise KeyError(name)
        return _as_json(getattr(self, name))

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON takes them, in the order of the attributes."""
        return {name: self[name] for name in self}

    @classmethod
    def from_json(cls, held: Mapping[str, object]) -> Self:
        """Return the figures that a file of any version holds.

        Parameters
        ----------
        held : mapping
            JSON of a file that may be damaged, or come from anyone.

        Raises
        ------
        ModelError
            Names a figure that every version has and this file has not, or one of another type.
        """
        checks = _checks()
        wanted = [*(name for name in checks if name in held), *sorted(_required() - held.keys())]
        values: dict[str, Any] = {name: checks[name](name, held.get(name)) for name in wanted}
        further = {name: value for name, value in held.items() if name not in checks}
        found = cls(**values, absent=frozenset(checks) - frozenset(values), further=further)
        if found.verdict is not None and Verdict(found.reasons).verdict != found.verdict:
            raise wrong("verdict", "not that of its reasons", found.verdict)
        return found


def _as_json(value: object) -> object:
    """A figure as JSON takes it."""
    if isinstance(value, tuple):
        return [item if isinstance(item, float) else dict(vars(item)) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


_CHECKS: dict[str, Check] = {  # by the type that a figure has in `TrainingFigures`
    "int": number,
    "float": number,
    "bool": truth,
    "str": text,
    "Mapping[str, float]": numbers_by_name,
    "tuple[float, ...]": numbers,
    "tuple[UnlikeBlock, ...]": unlike_blocks,
    "tuple[Reason, ...]": reasons,
}


@cache
def _checks() -> dict[str, Check]:
    """The check of each figure, in the order of the JSON."""
    out = {}
    for figure in fields(TrainingFigures):
        if figure.name not in ("absent", "further"):
            kind = str(figure.type)
            check = _CHECKS[kind.removesuffix(" | None")]
            out[figure.name] = or_none(check) if kind.endswith(" | None") else check
    return out


@cache
def _required() -> frozenset[str]:
    """Names of the figures that every version has written."""
    given = (f.name for f in fields(TrainingFigures) if f.default is MISSING and f.default_factory is MISSING)
    return frozenset(given)
