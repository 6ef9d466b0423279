"""A fixed share of `benchmarks/fuzz.py`: damaged models, results and arrays are read or refused in one line."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def bench():
    """The benchmark, whose modules import each other by their names."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import fuzz

        yield fuzz
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        for name in ("fuzz", "mutations", "seeds", "commands"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def seeds(bench, tmp_path_factory):
    """Sound files of every kind."""
    return bench.make_seeds(tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def reader(bench, seeds):
    """The process that reads them."""
    folder = next(iter(seeds)).parent
    made = bench.Reader(seeds, folder)
    yield made
    made.end()


@pytest.mark.parametrize("kind, count", [("model", 100), ("other", 50)])
def test_damaged_files_are_read_or_refused(bench, seeds, reader, kind, count, capsys):
    """No traceback, no hang, no memory, nothing executed, nothing touched; and both ends happen."""
    some = {path: use for path, use in seeds.items() if bench.is_model(use) == (kind == "model")}
    tally = bench.fuzz(some, count, 0, reader, next(iter(seeds)).parent, None)
    assert tally.failures == 0, capsys.readouterr().err
    assert set(tally.outcomes) == {"read", "refused"} and tally.outcomes["refused"] > count // 3


def test_the_watch_sees(seeds, reader, tmp_path):
    """The topology of sound conformations in another folder is another file that is opened, and is told."""
    folder = next(iter(seeds)).parent
    for name in ("generate.h5md", "topology.pdb"):
        shutil.copy(folder / name, tmp_path)
    answer = reader.ask("h5md", tmp_path / "generate.h5md", 60.0)
    assert answer["outcome"] == "read"
    assert any("topology.pdb" in told for told in answer["seen"])
