"""A process that reads what it is told to and says how that went; the part of `fuzz.py` that may crash or hang."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trajvae import Model, plots
from trajvae.errors import StoppedError, TrajvaeError
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.outputs.optimize import Search
from trajvae.readers.sources import Reading, open_source
from trajvae.store import describe, read_conformations, read_model, read_table
from trajvae.training.checkpoints.file import from_checkpoint
from trajvae.training.session import resume

FRAMES = np.load(Path(__file__).parents[1] / "examples" / "trajectories" / "chain2d.npz")["positions"][:60].copy()
ROOM = 16 * 2**30  # bytes of address space beyond what the libraries take: far above what counts, which is what is used
FORBIDDEN = (
    "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir",
    "pickle.", "marshal.", "ctypes.", "socket.", "shutil.", "exec", "import",
)  # fmt: skip


class Watch:
    """What Python does while a file is read: opening other files and executing anything is noted.

    What it does while sound files are read is usual: libraries import what they miss, and look for it again.
    """

    def __init__(self) -> None:
        self.file, self.learning = "", True
        self.usual: set[str] = set()
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open":
            name, mode = os.path.abspath(str(details[0])), str(details[1] or "r")
            own = name == self.file or name.startswith((sys.prefix, sys.base_prefix, "/proc/"))
            told = "" if own and not any(letter in mode for letter in "wax+") else f"open {name} {mode}"
        else:
            told = f"{event} {str(details[0])[:100]}" if event.startswith(FORBIDDEN) and details else ""
        if told and self.learning:
            self.usual.add(told)
        elif told and self.file and told not in self.usual:
            self.seen.append(told)


def use_model(path: Path) -> None:
    """Load it, encode frames of its own size, draw from it, describe it."""
    describe(path)
    model = Model.load(path, device="cpu")
    model.encode(model.record.sample[:4])
    model.generate(5)
    repr(model)


def use_model_wholly(path: Path) -> None:
    """As `use_model`, and everything that is made of a model."""
    use_model(path)
    model = Model.load(path, device="cpu")
    model.marginals()
    model.optimize("rg", search=Search(starts=2, steps=2, draws=16, keep=2))
    model.path(0, 5, frames=3, descent=GeodesicOptions(steps=2))
    model.generate(3, novelty=True, sampler="aggregate", project=True)
    plot(path)


def use_unfinished(path: Path) -> None:
    """Describe a training that stopped, and make of it what goes on."""
    describe(path)
    stored = read_model(path)
    if stored.status == "training":
        from_checkpoint(stored, "cpu", str(path))
    else:
        Model.load(path, device="cpu")


def use_unfinished_wholly(path: Path) -> None:
    """As `use_unfinished`, and go on with the training, for a step."""
    use_unfinished(path)
    with contextlib.suppress(StoppedError):
        resume(path, FRAMES, device="cpu", asked=_stop)


def _stop() -> bool:
    raise StoppedError("one step is enough")


def plot(path: Path) -> None:
    """Draw all panels of a file."""
    figure = plots.draw(plots.panels_of(plots.read(path)))
    figure.savefig(io.BytesIO(), dpi=20, format="png")


def use_arrays(path: Path) -> None:
    """Read all frames of a trajectory."""
    open_source(str(path), Reading()).read()


def use_result(path: Path) -> None:
    """Describe it and read all of it."""
    found = describe(path)
    if found["kind"] == "conformations":
        read_conformations(path)
    else:
        read_table(path, found["kind"])
    plots.panels_of(plots.read(path))


def use_result_wholly(path: Path) -> None:
    """As `use_result`, and draw it."""
    use_result(path)
    plot(path)


def use_h5md(path: Path) -> None:
    """As a result, and as a trajectory whose topology stands beside it."""
    try:
        use_result(path)
    finally:
        open_source(str(path), Reading(topology=path.parent / "topology.pdb")).read()


def use_h5md_wholly(path: Path) -> None:
    """As `use_h5md`, and draw it."""
    use_h5md(path)
    plot(path)


USES: dict[str, Callable[[Path], None]] = {
    "model": use_model,
    "model wholly": use_model_wholly,
    "unfinished": use_unfinished,
    "unfinished wholly": use_unfinished_wholly,
    "arrays": use_arrays,
    "arrays wholly": use_arrays,
    "result": use_result,
    "result wholly": use_result_wholly,
    "h5md": use_h5md,
    "h5md wholly": use_h5md_wholly,
}


def attempt(kind: str, path: Path) -> str:
    """Use a file: `read`, `refused: ...` in one line, or what went wrong."""
    try:
        USES[kind](path)
    except TrajvaeError as error:
        text = str(error)
        return f"refused: {text}" if len(text.splitlines()) == 1 else f"many lines: {text!r}"
    except BaseException as error:  # whatever it is must be told
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        where = "" if last is None else f" at {Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"
        return f"traceback: {type(error).__name__}{where}: {' '.join(str(error).split())[:200]}"
    return "read"


def main() -> None:
    """Lines of [kind, path] in, of {outcome, seen, ...} out; the first files are sound and show what is usual."""
    warnings.simplefilter("ignore")
    watch, warm = Watch(), int(sys.argv[1])
    for number, line in enumerate(sys.stdin):
        kind, name = json.loads(line)
        if number == warm:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
        watch.seen, watch.file, watch.learning = [], os.path.abspath(name), number < warm
        begun = time.process_time()
        outcome = attempt(kind, Path(name))
        watch.file, seconds = "", time.process_time() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"outcome": outcome, "seen": watch.seen, "memory": memory, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
