"""One and two processes that read a solvated protein: `python benchmarks/reading_jobs.py`, two minutes on two cores.

1000 frames of 47 681 atoms, those of MDAnalysisTests repeated, of which the 214 C-alphas are read; every figure is of a
process of its own, which reads once, as commands do. Rounds are taken in turn, and ratios are medians over the rounds.
Then the frames, the weights and the latent points of a short training are compared bit for bit, and 1000 files are read
as one data set.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

SELECTION, ATOMS = "name CA", 214
BARE = ("mdtraj", "libmdaxdr")
OURS = ("1", "2")
ROUNDS = 5


def make(folder: Path, repeats: int = 100) -> None:
    """Write the topology, and the ten frames one after another: a joint XTC file is one, too."""
    from MDAnalysisTests.datafiles import GRO, XTC

    (folder / "adk.gro").write_bytes(Path(GRO).read_bytes())
    data = Path(XTC).read_bytes()
    with (folder / "adk.xtc").open("wb") as file:
        for _ in range(repeats):
            file.write(data)
    (folder / "parts").mkdir()
    (folder / "temporary").mkdir()
    for k in range(1000):
        (folder / "parts" / f"part{k:04}.xtc").symlink_to(XTC)


def bare(library: str, path: str, atoms: np.ndarray) -> float:
    """Seconds that a library takes to read the atoms of all frames into one array, and nothing else."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile
    from mdtraj.formats import XTCTrajectoryFile

    begun = time.perf_counter()
    if library == "mdtraj":
        with XTCTrajectoryFile(path) as file:
            file.read(atom_indices=atoms)
    else:
        with XTCFile(path) as file:
            out = np.empty((len(file), len(atoms), 3), dtype=np.float32)
            for k, frame in enumerate(file):
                out[k] = frame.x[atoms]
    return time.perf_counter() - begun


def measure(what: str, source: str) -> dict[str, object]:
    """Read once, by a library or by so many processes, and tell what that took and gave."""
    warnings.simplefilter("ignore")
    import MDAnalysis as mda

    from trajvae.readers.reading import Reading
    from trajvae.readers.sources import open_source

    if what in BARE:
        return {"read": bare(what, source, mda.Universe("adk.gro").select_atoms(SELECTION).indices)}
    begun, files = time.perf_counter(), len(os.listdir("/proc/self/fd"))
    frames = open_source(source, Reading("adk.gro", select=SELECTION, jobs=int(what)))
    opened = time.perf_counter()
    chunk = frames.read()
    done = time.perf_counter()
    pids = [] if frames.processes is None else frames.processes.pids()
    memory = [peak(pid) for pid in ["self", *pids]]
    parts = (chunk.positions, chunk.file, chunk.frame, chunk.time, chunk.has_predecessor)
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    del frames
    left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    return {
        "read": done - opened,
        "all": done - begun,
        "frames": len(chunk.file),
        "bits": digest,
        "memory": memory,
        "left": len(left) + len(os.listdir("/proc/self/fd")) - files,
        "cpu": sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)),
    }


def peak(pid: object) -> float:
    """Peak memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def child(what: str, source: str, folder: Path) -> dict[str, object]:
    """`measure` in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), what, source]
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def ratios(folder: Path) -> None:
    """Print the times of all readers, and the two ratios."""
    rounds = [{what: child(what, "adk.xtc", folder) for what in (*BARE, *OURS)} for _ in range(ROUNDS)]
    for what in (*BARE, *OURS):
        times = [found[what]["read"] for found in rounds]
        name = what if what in BARE else f"trajvae --jobs {what}"
        print(f"{name:>18}: {min(times):.3f} s at best, {statistics.median(times):.3f} s in the median of {ROUNDS}")
    one, two = ([found[what]["read"] for found in rounds] for what in OURS)
    least = [min(found[what]["read"] for what in BARE) for found in rounds]
    whole = [found["1"]["all"] / found["2"]["all"] for found in rounds]
    speed, cost = [a / b for a, b in zip(one, two, strict=True)], [a / b for a, b in zip(one, least, strict=True)]
    print(
        f"two processes against one: {statistics.median(speed):.2f} x (wanted >= 1.8 x); by the best of each "
        f"{min(one) / min(two):.2f} x; with opening and planning {statistics.median(whole):.2f} x"
    )
    print(
        f"one process against the fastest bare read: {statistics.median(cost):.2f} x (wanted <= 1.1 x); by the best of "
        f"each {min(one) / min(least):.2f} x"
    )
    print(f"the same bits: {len({found[what]['bits'] for found in rounds for what in OURS}) == 1}")
    for what in OURS:
        memory = ", ".join(f"{mb:.0f} MB" for mb in rounds[0][what]["memory"])
        print(f"--jobs {what}: {memory} at most in each process; left behind: {rounds[0][what]['left']}")


def trained(folder: Path) -> None:
    """Print whether a training and its latent points depend on the number of processes."""
    import h5py

    digests = []
    for jobs in OURS:
        out = folder / f"model{jobs}.h5"
        arguments = ["adk.xtc", "-s", "adk.gro", "--select", SELECTION, "--jobs", jobs, "--device", "cpu"]
        command = [sys.executable, "-m", "trajvae_cli"]
        subprocess.run(
            [*command, "train", *arguments, "--epochs", "2", "--hidden", "32", "-o", str(out)],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        points = folder / f"embed{jobs}.h5"
        subprocess.run(
            [*command, "embed", *arguments, "-m", str(out), "-o", str(points)],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        found: dict[str, str] = {}

        def note(name: str, item: object, found: dict[str, str] = found) -> None:
            if isinstance(item, h5py.Dataset):
                value = item[()]
                is_numbers = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
                data = value.tobytes() if is_numbers else repr(np.asarray(value).tolist()).encode()
                found[name] = hashlib.sha256(data).hexdigest()

        for path in (out, points):
            with h5py.File(path) as file:
                file.visititems(note)
        digests.append(found)
    own = {"trajvae/checksums"}  # of the date and the command line, too
    differ = sorted(name for name in digests[0].keys() - own if digests[0][name] != digests[1].get(name))
    print(f"of {len(digests[0])} arrays in model.h5 and embed.h5, these differ: {differ or 'none'}")


def many(folder: Path) -> None:
    """Print what becomes of 1000 files that are one data set."""
    one, two = (child(what, "parts/*.xtc", folder) for what in OURS)
    left = len(os.listdir(folder / "temporary"))
    print(
        f"1000 files, {two['frames']} frames: {one['read']:.1f} s by one process, {two['read']:.1f} s by two; the same "
        f"bits: {one['bits'] == two['bits']}; handles and processes left: {two['left']}, temporary files: {left}"
    )


def main() -> None:
    """All of it, or one measurement of a process of its own."""
    if len(sys.argv) == 3:
        print(json.dumps(measure(*sys.argv[1:])))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        ratios(folder)
        trained(folder)
        many(folder)


if __name__ == "__main__":
    main()
