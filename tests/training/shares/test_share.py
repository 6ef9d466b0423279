"""The frames of each process, and what the first one hands on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.models.partition import Partition, partition
from trajvae.periodic.unwrapper import Unwrapper
from trajvae.readers.sources import open_source
from trajvae.runtime.launched import Launched, launched
from trajvae.runtime.ranks import ALONE, Ranks
from trajvae.store import Header, ModelContents
from trajvae.training.shares.hand_over import from_bytes, to_bytes
from trajvae.training.shares.share import frames_of_share, share_of

VARIABLES = {"RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "host", "MASTER_PORT": "1", "LOCAL_RANK": "0"}


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("n", [100, 1001])
def test_shares_cover_all_frames(n: int, size: int) -> None:
    """Equally many training frames each, at most one of them shared; every validation frame once."""
    whole = partition(n)
    shares = [share_of(whole, Ranks(k, size)) for k in range(size)]
    used = np.zeros((2, n), dtype=int)
    for share in shares:
        rows = slice(share.first, share.last)
        used[0, rows] += share.partition.training
        used[1, rows] += share.partition.validation
        assert np.array_equal(
            np.flatnonzero(whole.training)[share.training] - share.first, np.flatnonzero(share.partition.training)
        )
        assert not share.partition.held_out.any()
    counts = {int(share.partition.training.sum()) for share in shares}
    assert counts == {-(-int(whole.training.sum()) // size)}
    assert np.array_equal(used[0] > 0, whole.training) and used[0].sum() - whole.training.sum() < size
    assert np.array_equal(used[1], whole.validation.astype(int))


def test_one_process_has_all_frames() -> None:
    """As they are."""
    whole = partition(50)
    share = share_of(whole, ALONE)
    assert share.partition is whole and (share.first, share.last) == (0, 50)


def test_a_process_reads_its_frames_alone(tmp_path: Path) -> None:
    """Across files; where molecules are made whole, all frames before them, too."""
    positions = np.random.default_rng(0).normal(size=(100, 4, 3)).cumsum(axis=1)
    for name, some in (("a.npy", positions[:60]), ("b.npy", positions[60:])):
        np.save(tmp_path / name, some)
    with pytest.warns(TrajvaeWarning, match="no topology"):
        frames = open_source([tmp_path / "a.npy", tmp_path / "b.npy"])
    whole = partition(100)
    for rank in range(3):
        share = share_of(whole, Ranks(rank, 3))
        own, same = frames_of_share(frames, share)
        assert same is share
        assert np.allclose(own.read().positions, positions[share.first : share.last])
    plans = [dataclasses.replace(plan, unwrapper=cast(Unwrapper, object())) for plan in frames.plans]
    own, longer = frames_of_share(dataclasses.replace(frames, plans=plans), share)
    assert own.n_frames == share.last and longer.first == 0
    assert np.array_equal(np.flatnonzero(longer.partition.training), np.flatnonzero(whole.training)[share.training])


def test_more_processes_than_frames_are_refused() -> None:
    """With the number of those that there are."""
    with pytest.raises(OptionError, match="4 processes need as many validation frames or more, got 2"):
        share_of(Partition(np.array([0, 0, 0, 0, 0, 1, 1, 2], dtype=np.int8)), Ranks(0, 4))


def test_what_is_handed_on_arrives() -> None:
    """Arrays of all types to the bit, text, and nested names; without code."""
    groups = {"weights": {"a.b": np.float32([[1.5, np.nan]]), "n": np.array(3)}, "part": np.int8([0, 1])}
    contents = ModelContents(
        Header("model", "train ä", 5), "training", {"x": [1, 2.5]}, {"y": None}, np.ones((2, 3)), groups, {"file": "w"}
    )
    found = from_bytes(to_bytes(contents))
    assert found.header == contents.header
    assert (found.status, found.config, found.summary) == (contents.status, contents.config, contents.summary)
    assert found.frame_weights == contents.frame_weights and np.array_equal(found.reference, contents.reference)
    assert found.groups["optimiser"] == {}
    assert found.groups["weights"]["a.b"].tobytes() == groups["weights"]["a.b"].tobytes()
    assert found.groups["weights"]["n"].shape == () and found.groups["part"].dtype == np.int8


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_a_process_is_alone_unless_all_is_said(missing: str) -> None:
    """Batch systems set some of the variables for every process."""
    assert launched(VARIABLES) == Launched(1, 3, 0, 3)
    assert launched({name: value for name, value in VARIABLES.items() if name != missing}) == Launched()


@pytest.mark.parametrize(("name", "value"), [("RANK", "3"), ("RANK", "x"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "")])
def test_numbers_that_are_none_mean_alone(name: str, value: str) -> None:
    """A rank beyond the size, words, and one process of one."""
    assert launched({**VARIABLES, name: value}) == Launched()


def test_seeds_differ_among_processes() -> None:
    """The first has the one that was given."""
    seeds = [Ranks(k, 4).seed(0) for k in range(4)]
    assert seeds[0] == 0 and len(set(seeds)) == 4
