"""One command in several processes, as torchrun starts them: the first one speaks, and an error is said once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from trajvae.runtime.launched import launched

from . import bars
from .interrupts import Stopped, first_signal, stoppable

if TYPE_CHECKING:
    from trajvae.runtime.ranks import Ranks

SEVERAL = "train"  # the command that runs in several processes


class Silent(Stopped):
    """Report an end of which the reason is said already."""

    def __init__(self, code: int = 1) -> None:
        super().__init__("", 0)
        self.exit_code = code  # type: ignore[misc]  # click has it on the class

    def show(self, file: IO[Any] | None = None) -> None:
        """Print nothing."""


def refuse_several(command: str) -> None:
    """Refuse a command that several processes run and that is made for one.

    Raises
    ------
    ClickException
        With the exit code of a wrong option.
    """
    size = launched().size
    if size > 1 and command != SEVERAL:
        error = click.ClickException(
            f"'trajvae {command}' runs in one process, and {size} were started: leave out torchrun, with which only "
            f"'trajvae {SEVERAL}' runs"
        )
        error.exit_code = 2  # type: ignore[misc]  # click has it on the class
        raise error


def only_first_speaks() -> None:
    """Let the other processes print nothing, except errors of their own on `sys.__stderr__`."""
    if launched().rank:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # until the process ends


@contextlib.contextmanager
def together(path: Path, device: str) -> Iterator[Ranks]:
    """Work with the processes that were started with this one, as long as the context lasts; alone in most cases.

    Parameters
    ----------
    path : Path
        The output, which may hold a checkpoint.
    device : str
        The option.
    """
    from trajvae.runtime.ranks import joined

    place = launched()
    if place.size == 1:
        with joined(place, device) as ranks:
            yield ranks
        return
    with joined(place, device) as ranks, _said_once(ranks, path):
        yield ranks
        if ranks.first:
            ranks.finish()


@contextlib.contextmanager
def _said_once(ranks: Ranks, path: Path) -> Iterator[None]:
    """Let one process say why the work ended: the one whose error it is, or else the first to see that one was lost."""
    from trajvae.errors import TrajvaeError

    try:
        yield
    except Stopped:  # the first process says so
        raise
    except KeyboardInterrupt as error:
        _say(f"stopped; {_kept(path)}", ranks)
        raise Silent(128 + (first_signal() or signal.SIGTERM)) from error
    except (TrajvaeError, click.ClickException, OSError, MemoryError) as error:
        if not ranks.first:
            text = error.format_message() if isinstance(error, click.ClickException) else str(error)
            _say(f"Error: process {ranks.rank}: {text}", ranks)
            raise Silent from error
        if not ranks.speaks():
            raise Silent from error
        raise
    except Exception:  # a defect, whose traceback must be seen whatever process it struck
        ranks.speaks()
        sys.stderr = sys.__stderr__
        raise


@contextlib.contextmanager
def lost_is_said(ranks: Ranks, path: Path) -> Iterator[None]:
    """Let one process say that another one was lost; torchrun sends signals then, for which the work must still ask."""
    from trajvae.errors import LostProcessError

    try:
        yield
    except LostProcessError as error:
        _say(f"Error: one of the {ranks.size} processes has ended before its time; {_kept(path)}", ranks)
        raise Silent from error


def _say(line: str, ranks: Ranks) -> None:
    """Print a line, also where this process prints nothing else, unless another one has said why the work ended."""
    if ranks.speaks():
        with bars.aside(), contextlib.suppress(OSError):
            click.echo(line, file=sys.__stderr__)


def _kept(path: Path) -> str:
    """What is left of the training."""
    from trajvae.errors import TrajvaeError
    from trajvae.store import model_status

    with contextlib.suppress(TrajvaeError):
        if path.exists() and model_status(path) == "training":
            return f"'{path}' holds a checkpoint: the same command with --resume goes on"
    return "there is no checkpoint yet"


def help_first(ranks: Ranks, path: Path, device: str, functions: list[str]) -> None:
    """Train with a share of the frames until the first process has written the model, or until a signal comes."""
    from trajvae.errors import StoppedError
    from trajvae.training.shares.follower import follow

    with stoppable() as heard, lost_is_said(ranks, path):
        try:
            follow(ranks, device, functions=functions, asked=_asked(heard))
        except StoppedError as error:
            raise Silent(128 + (heard() or signal.SIGTERM)) from error
        if heard():
            raise Silent(128 + heard())


def _asked(heard: Callable[[], int]) -> Callable[[], bool]:
    return lambda: bool(heard())
