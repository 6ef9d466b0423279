"""Features in a mapped file: every row once an epoch, in an order that is the generator's, and none lost."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae.errors import OutputError
from trajvae.models.partition import Partition
from trajvae.training.streamed_batches import MappedRows, StreamedBatches, stream_batches

INPUTS, FEATURES = 2, 3


def _data(n: int, held: int, memory: float = 1e4, piece: int = 700) -> tuple[StreamedBatches, torch.Tensor]:
    """Rows that hold their own number in every column; the last `held` are for validation."""
    rows = torch.arange(n, dtype=torch.float32)[:, None]
    parts = Partition((np.arange(n) >= n - held).astype(np.int8))
    pairs = (
        (rows[i : i + piece].repeat(1, INPUTS), rows[i : i + piece].repeat(1, FEATURES)) for i in range(0, n, piece)
    )
    return stream_batches(pairs, parts, (INPUTS, FEATURES), torch.device("cpu"), memory), rows[:, 0]


@pytest.mark.parametrize(("n", "size"), [(5, 2), (3000, 32), (4097, 100), (2048, 1024), (1500, 2000)])
def test_every_row_once(n: int, size: int) -> None:
    """An epoch's batches hold every training row exactly once, in as many batches as there must be."""
    data, _ = _data(n + 3, 3)
    batches = list(data.batches(size, torch.Generator().manual_seed(0)))
    assert len(batches) == -(-n // size)
    seen = torch.cat([batch.inputs[:, 0] for batch in batches])
    assert torch.equal(seen.sort().values, torch.arange(n, dtype=torch.float32))
    assert all(b.inputs.shape[1] == INPUTS and b.targets.shape[1] == FEATURES for b in batches)
    assert all(torch.equal(b.inputs[:, 0], b.targets[:, 0]) for b in batches)


def test_rows_are_shuffled() -> None:
    """Neighbours are no neighbours in an epoch, two epochs differ, one seed gives one order."""
    data, _ = _data(20_000, 100)
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.cat([b.inputs[:, 0] for b in data.batches(64, generator)]) for _ in range(2))
    assert float((first.diff().abs() < 2).float().mean()) < 0.01
    assert not torch.equal(first, second)
    again = torch.cat([b.inputs[:, 0] for b in data.batches(64, torch.Generator().manual_seed(0))])
    assert torch.equal(first, again)


@pytest.mark.parametrize("skip", [1, 17, 40, 62])
def test_skipped_batches_change_no_other(skip: int) -> None:
    """The batches after those skipped are the ones that an uninterrupted epoch has."""
    data, _ = _data(4000, 10)
    whole = list(data.batches(64, torch.Generator().manual_seed(3)))
    rest = list(data.batches(64, torch.Generator().manual_seed(3), skip))
    assert len(rest) == len(whole) - skip
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[skip:], rest, strict=True))


def test_pieces_come_in_their_order() -> None:
    """Training and held-out rows, each in the order in which they came."""
    data, rows = _data(2500, 400)
    for held, wanted in ((False, rows[:2100]), (True, rows[2100:])):
        pieces = list(data.chunks(512, validation=held))
        assert torch.equal(torch.cat([b.inputs[:, 0] for b in pieces]), wanted)
    assert (data.n_train, data.n_validation) == (2100, 400)


def test_weights_stay_with_their_rows() -> None:
    """Shuffled or in order, each row has its own weight."""
    parts = Partition(np.where(np.arange(2900) < 2400, 0, 1).astype(np.int8))
    rows = torch.arange(2900, dtype=torch.float32)[:, None]
    weights = (2.0 * rows[:2400, 0] + 1.0, rows[2400:, 0] ** 2)
    pairs = iter([(rows.repeat(1, INPUTS), rows.repeat(1, FEATURES))])
    data = stream_batches(pairs, parts, (INPUTS, FEATURES), torch.device("cpu"), 1e4, weights)
    for batch in (*data.batches(64, torch.Generator().manual_seed(1), 5), *data.chunks(512, validation=False)):
        assert torch.equal(batch.weights, 2.0 * batch.inputs[:, 0] + 1.0)
    for batch in data.chunks(300, validation=True):
        assert torch.equal(batch.weights, batch.inputs[:, 0] ** 2)


def test_a_sample_is_of_training_rows() -> None:
    """Inputs alone, spread over the rows, fewer than all of them where these are many."""
    data, rows = _data(60_000, 1000)
    sample = data.sample()
    assert sample.shape == (19 * 1024, INPUTS)
    assert float(sample.min()) == 0.0 and float(sample.max()) == float(rows[58_999])


def test_a_full_disk_is_an_error_before_any_work() -> None:
    """A table larger than what the folder has left is refused with the way out."""
    with pytest.raises(OutputError, match=r"GB left: set TMPDIR to another folder.*--step.*--memory"):
        MappedRows(10**12, 100, Path(tempfile.gettempdir()))


def test_a_table_leaves_no_file(tmp_path: Path) -> None:
    """Its file has no name: nothing is left, however the process ends."""
    table = MappedRows(10, 2, tmp_path)
    table.append(np.ones((10, 2), dtype=np.float32))
    assert list(tmp_path.iterdir()) == []
    assert float(table.read([(2, 4), (9, 10)]).sum()) == 6.0


def test_room_on_the_disk_is_taken_at_once(tmp_path: Path) -> None:
    """Where it cannot be, that is an error now, and no crash when rows are written to the map."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(
            OutputError, match=r"cannot create a file of features in .*: the file would be larger than allowed"
        ):
            MappedRows(10_000, 10, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
