"""What a process that was killed leaves: the next one completes what was whole, and removes the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trajvae.errors import OutputError
from trajvae.store import check_outputs, whole_files

KILLED = """
import os, signal, sys
from pathlib import Path
from trajvae.store import whole_files
replace, left = os.replace, [int(sys.argv[1])]
def last(*names):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.{signal})
    replace(*names)
os.replace = last
with whole_files(Path("a.pdb"), Path("a.h5md"), force=True) as parts:
    for part in parts:
        part.write_text("new")
"""


def contents(folder: Path) -> dict[str, str]:
    """All files of a folder with their text."""
    return {p.name: p.read_text() for p in folder.iterdir()}


def killed(folder: Path, before: int, number: signal.Signals = signal.SIGKILL) -> int:
    """Write a pair in a process that is killed before its first, second or third renaming."""
    script = KILLED.format(signal=number.name)
    return subprocess.run([sys.executable, "-c", script, str(before)], cwd=folder, capture_output=True).returncode


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_pair_is_of_one_run(tmp_path: Path, existing: bool, before: int) -> None:
    """Killed once both files are whole they appear with the next look; killed earlier, all is as it was."""
    pair = [tmp_path / "a.pdb", tmp_path / "a.h5md"]
    old = {p.name: "old" for p in pair} if existing else {}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    assert killed(tmp_path, before) == -signal.SIGKILL
    wanted = old if before == 1 else {p.name: "new" for p in pair}
    if wanted:
        with pytest.raises(OutputError, match="exists"):
            check_outputs(pair, force=False)
    else:
        check_outputs(pair, force=False)
    assert contents(tmp_path) == wanted


@pytest.mark.parametrize("before", [2, 3])
def test_an_interrupt_between_two_renames_does_not_part_a_pair(tmp_path: Path, before: int) -> None:
    """Ctrl-C where both files are whole: both get their names."""
    assert killed(tmp_path, before, signal.SIGINT) != 0
    assert contents(tmp_path) == {"a.pdb": "new", "a.h5md": "new"}


def test_what_is_not_whole_is_removed_and_what_is_being_written_stays(tmp_path: Path) -> None:
    """Parts of a process that is gone go; those of one that runs, and other files, do not."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    names = [f".a.{number}.part.{end}" for number in (int(gone.stdout), os.getppid()) for end in ("pdb", "h5md")]
    for name in (*names, ".a.part.h5md", ".b.1.part.h5md"):
        (tmp_path / name).write_text("half")
    with whole_files(tmp_path / "a.pdb", tmp_path / "a.h5md", force=False) as parts:
        for part in parts:
            part.write_text("new")
    wanted = {"a.pdb", "a.h5md", *names[2:], ".a.part.h5md", ".b.1.part.h5md"}
    assert contents(tmp_path).keys() == wanted
