"""What `trajvae kinetics` writes and says of a committor."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajvae.errors import ReadError, TrajvaeWarning

if TYPE_CHECKING:
    from trajvae.figures import CommittorFigures
    from trajvae.readers.data_set import Frames
    from trajvae.results import Kinetics

_NAMES = {"latent": "latent", "tica": "TICA", "pca": "PCA"}


def regions_typed(source: str | None, target: str | None) -> tuple[str, str] | None:
    """Return the two regions that were typed; None where neither was.

    Raises
    ------
    UsageError
        One was typed without the other.
    """
    if source is None and target is None:
        return None
    if source is None or target is None:
        raise click.UsageError("a committor needs two regions: give both --from and --to")
    return source, target


def with_structures(found: Kinetics, open_frames: Callable[[], Frames], folder: Path, told_by: str) -> Kinetics:
    """Write the transition states; where their trajectory cannot be read, say so and go on without them."""
    from trajvae.kinetic_analysis.transition_states import write_transition_states

    if found.committor is None or not len(found.committor.transition_states):
        return found
    try:
        return write_transition_states(found, open_frames(), folder, told_by=told_by, force=True)
    except ReadError as error:
        warnings.warn(f"no PDB file of the transition states: {error}", TrajvaeWarning, stacklevel=2)
        return found


def committor_lines(f: CommittorFigures) -> list[str]:
    """Return where the committor is between, how well it predicts what trajectories do, and the transition states."""
    there, back = f.passages
    shares = ", ".join(
        f"{_NAMES.get(name, name)} {100.0 * value:.1f} ± {100.0 * f.explained_error[name]:.1f} %"
        for name, value in f.explained.items()
    )
    written = f": {f.structures}" if f.structures else ""
    return [
        f"committor from {f.source} ({f.source_frames} frames) to {f.target} ({f.target_frames} frames): {there} "
        f"passages there and {back} back, {f.frames} frames outside both in {f.excursions} excursions",
        f"  variance of what their trajectories do next, explained on blocks left out: {shares}",
        f"  {f.transition_states} transition states (committor 0.45 to 0.55){written}",
    ]
