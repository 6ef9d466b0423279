"""Transition states are frames of the trajectory, written as models of a PDB file."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import MDAnalysis
import numpy as np
import pytest
from made_kinetics import made_kinetics

from trajvae.errors import OutputError, ReadError
from trajvae.kinetic_analysis.transition_states import MOST, write_transition_states, written_rows
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source
from trajvae.results import Kinetics
from trajvae.typing import Float32


@pytest.fixture(scope="module")
def found() -> Kinetics:
    """A walk with a transition state."""
    return replace(made_kinetics(), lag_unit="frame")


def test_no_more_than_a_hundred_are_written(found: Kinetics) -> None:
    """Spread evenly, the first and the last among them."""
    assert found.committor is not None
    rows, all_rows = written_rows(found.committor), found.committor.transition_states
    assert len(rows) == MOST < len(all_rows) and len(np.unique(rows)) == MOST
    assert rows[0] == all_rows[0] and rows[-1] == all_rows[-1] and np.isin(rows, all_rows).all()


@pytest.mark.filterwarnings("ignore:no topology")
def test_models_are_the_frames(found: Kinetics, chain: Float32, tmp_path: Path) -> None:
    """In order; an existing file is kept, frames must be there, and nothing is written where there is nothing."""
    positions = np.tile(chain, (-(-2000 // len(chain)), 1, 1))[:2000]
    np.save(tmp_path / "chain.npy", positions)
    frames = open_source([str(tmp_path / "chain.npy")], Reading())
    written = write_transition_states(found, frames, tmp_path).committor
    assert written is not None and written.structures == str(tmp_path / "transition_states.pdb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = MDAnalysis.Universe(written.structures)
        models = np.stack([read.atoms.positions.copy() for _ in read.trajectory])
    wanted = positions[written_rows(written)]
    assert len(models) == MOST
    np.testing.assert_allclose(models[..., : wanted.shape[2]], wanted, atol=2e-3)
    with pytest.raises(OutputError, match="exists"):
        write_transition_states(found, frames, tmp_path)
    with pytest.raises(ReadError, match=r"chain\.npy' is wanted, which has 2000 frames"):
        write_transition_states(replace(found, frame=found.frame + 1500), frames, tmp_path, force=True)
    none = replace(found, committor=replace(written, value=np.zeros(2000)))
    assert write_transition_states(none, frames, tmp_path / "nowhere") is none
    without = replace(found, committor=None)
    assert write_transition_states(without, frames, tmp_path / "nowhere") is without
