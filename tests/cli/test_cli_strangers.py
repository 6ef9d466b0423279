"""Files of strangers on the command line: one line, nothing executed, nothing left behind, and no memory."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers import edited

SPACE = 3 * 2**30  # bytes of address space that a command may have


def trajvae(folder: Path, *arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m trajvae_cli` in a folder, in little memory."""
    return subprocess.run(
        [sys.executable, "-m", "trajvae_cli", *arguments],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(home or folder), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE)),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, written: Path, chain: np.ndarray) -> Path:
    """A folder with a trajectory, a model, an embedding, and a training that was killed."""
    folder = tmp_path_factory.mktemp("sound")
    np.save(folder / "traj.npy", chain)
    for name in ("model.h5", "embed.h5"):
        shutil.copy(written / name, folder / name)
    options = ("--hidden", "8", "--epochs", "100000", "--checkpoint", "0")
    command = [sys.executable, "-m", "trajvae_cli", "train", "traj.npy", *options, "-o", "begun.h5"]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    while not (folder / "begun.h5").exists() and process.poll() is None:
        pass
    process.kill()
    process.wait()
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of these files."""
    for name in ("traj.npy", "model.h5", "embed.h5", "begun.h5"):
        shutil.copy(sound / name, tmp_path / name)
    return tmp_path


def test_a_function_that_a_checkpoint_names(folder: Path) -> None:
    """`embed` in an unpacked folder, and `train --resume`: its module is not imported, and the line names it."""
    (folder / "evil.py").write_text("open('EXECUTED', 'w')\n")
    with edited(folder / "begun.h5") as file:
        config = json.loads(file["trajvae"].attrs["config"])
        for options in (config, config["origin"]["asked"]):
            options |= {"backend": "embedded", "settings": {"manifold": "evil:f"}}
        file["trajvae"].attrs["config"] = json.dumps(config)
    os.replace(folder / "begun.h5", folder / "model.h5")
    content = (folder / "model.h5").read_bytes()
    for arguments in (("embed", "traj.npy", "-o", "e.h5"), ("train", "--resume"), ("train", "traj.npy", "--resume")):
        done = trajvae(folder, *arguments)
        assert done.returncode == 2, done.stderr
        assert "the function 'evil:f', which is not imported because a file names it" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert not (folder / "EXECUTED").exists() and (folder / "model.h5").read_bytes() == content


def test_a_checkpoint_of_another_user(sound: Path, folder: Path) -> None:
    """Its trajectory is opened where it is given; one's own is resumed by the file's name, with the same key."""
    done = trajvae(folder, "train", "--resume", "-o", "begun.h5")
    assert done.returncode == 1 and done.stderr.splitlines()[-1].endswith("are not opened: give TRAJ again")
    with edited(folder / "begun.h5") as file:  # as many epochs as there were
        config = json.loads(file["trajvae"].attrs["config"])
        config["epochs"] = 1
        file["trajvae"].attrs["config"] = json.dumps(config)
    for arguments, home in ((("train", "traj.npy", "--resume"), folder), (("train", "--resume"), sound / "home")):
        shutil.copy(folder / "begun.h5", folder / "again.h5")
        done = trajvae(folder, *arguments, "-o", "again.h5", home=home)
        assert done.returncode == 0, done.stderr


def hard_links(folder: Path) -> tuple[str, ...]:
    """Names of an array that no byte of the file stands for."""
    with edited(folder / "model.h5") as file:
        one = file.create_dataset("trajvae/weights/z", (2000, 1000), "f8", chunks=(200, 1000), compression="gzip")
        for k in range(40):
            file[f"trajvae/weights/z{k}"] = one
    return "generate", "-n", "2", "-o", "g.h5md"


def many_names(folder: Path) -> tuple[str, ...]:
    """More than any of trajvae's files has."""
    with edited(folder / "embed.h5") as file:
        one, group = file["observables/rmsd/value"], file.create_group("links")
        for k in range(10_000):
            group[f"{k:x}"] = one
    return "info", "embed.h5"


def many_groups(folder: Path) -> tuple[str, ...]:
    """For a figure."""
    with edited(folder / "embed.h5") as file:
        for k in range(9000):
            file.create_group(f"observables/{k:x}")
    return "plot", "embed.h5", "-o", "p.png"


def header_of_4_gb(folder: Path) -> tuple[str, ...]:
    """Of an array in an archive of some kB."""
    with (
        zipfile.ZipFile(folder / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("positions.npy", "w", force_zip64=True) as member,
    ):
        member.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1))
        for _ in range(64):
            member.write(bytes(2**20))
    return "embed", "b.npz", "-o", "e.h5"


def topology_of_one_line(folder: Path) -> tuple[str, ...]:
    """Compressed a thousand to one."""
    (folder / "t.gro.gz").write_bytes(gzip.compress(b"1 " * 2**24))
    return "embed", "traj.npy", "-s", "t.gro.gz", "-o", "e.h5"


def deep_json(folder: Path) -> tuple[str, ...]:
    """As deep as functions that call themselves fail on."""
    with edited(folder / "model.h5") as file:
        text = file["trajvae"].attrs["summary"]
        file["trajvae"].attrs["summary"] = text[:-1] + ', "d": ' + "[" * 600 + "]" * 600 + "}"
    return "info", "model.h5", "--json"


def half_a_selection(folder: Path) -> tuple[str, ...]:
    """In a library's own words an index out of range."""
    (folder / "t.xyz").write_text("2\n\nC 0 0 0\nC 0 0 2\n")
    return "train", "t.xyz", "--select", "same", "-o", "m.h5"


ATTACKS: tuple[tuple[Callable[[Path], tuple[str, ...]], str], ...] = (
    (hard_links, "would expand to more than"),
    (many_names, "more than 8192 names"),
    (many_groups, "more than 8192 names"),
    (header_of_4_gb, "not a complete .npz file"),
    (topology_of_one_line, "a line of more than"),
    (deep_json, "nested more than 32 times"),
    (half_a_selection, "selection 'same' is not understood: it lacks a word"),
)


@pytest.mark.parametrize(("attack", "words"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_attacks(folder: Path, attack: Callable[[Path], tuple[str, ...]], words: str) -> None:
    """One line, no output, in 3 GB of address space."""
    arguments = attack(folder)
    before = sorted(p.name for p in folder.iterdir())
    done = trajvae(folder, *arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("Error: ") and words in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr and sorted(p.name for p in folder.iterdir()) == before
