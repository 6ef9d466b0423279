"""One command in several processes, as torchrun starts them: the first one speaks, and an error is said once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajvae.runtime.launched import launched

from .interrupts import Stopped, first_signal, stoppable

if TYPE_CHECKING:
    from trajvae.runtime.ranks import Ranks

SEVERAL = "train"  # the command that runs in several processes


class Silent(click.ClickException):
    """Report an end of which another process has said why."""

    def __init__(self, code: int = 1) -> None:
        super().__init__("")
        self.exit_code = code  # type: ignore[misc]  # click has it on the class

    def show(self, file: object = None) -> None:
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
    try:
        with joined(place, device) as ranks, _said_once(ranks, path):
            yield ranks
            if ranks.first:
                ranks.finish()
    except KeyboardInterrupt:
        if place.rank:
            raise Silent(128 + signal.SIGTERM) from None
        raise


@contextlib.contextmanager
def _said_once(ranks: Ranks, path: Path) -> Iterator[None]:
    """Let one process say why the work ended: the one whose error it is, or else the first to see that one was lost."""
    from trajvae.errors import LostProcessError, StoppedError, TrajvaeError

    try:
        yield
    except LostProcessError as error:
        if not ranks.speaks():
            raise Silent from error
        line = f"one of the {ranks.size} processes has ended before its time; {_kept(path)}"
        number = first_signal()  # torchrun sends one to all that are left
        lost = Stopped(f"Error: {line}", number) if number and ranks.first else click.ClickException(line)
        raise _spoken(lost, ranks) from error
    except (Silent, Stopped, StoppedError):
        raise
    except (TrajvaeError, click.ClickException, OSError, MemoryError) as error:
        if not ranks.speaks():
            raise Silent from error
        if ranks.first:
            raise
        raise _spoken(
            error if isinstance(error, click.ClickException) else click.ClickException(str(error)), ranks
        ) from error
    except Exception:  # a defect, whose traceback must be seen whatever process it struck
        ranks.speaks()
        sys.stderr = sys.__stderr__
        raise


def _spoken(error: click.ClickException, ranks: Ranks) -> click.ClickException:
    """Say what went wrong, if this process is one that prints nothing else."""
    if ranks.first:
        return error
    with contextlib.suppress(OSError):
        click.echo(f"Error: process {ranks.rank}: {error.format_message()}", file=sys.__stderr__)
    return Silent()


def _kept(path: Path) -> str:
    """What is left of the training."""
    from trajvae.errors import TrajvaeError
    from trajvae.store import model_status

    with contextlib.suppress(TrajvaeError):
        if path.exists() and model_status(path) == "training":
            return f"'{path}' holds a checkpoint: the same command with --resume goes on"
    return "there is no checkpoint yet"


def help_first(ranks: Ranks, device: str, functions: list[str]) -> None:
    """Train with a share of the frames until the first process has written the model, or until a signal comes."""
    from trajvae.errors import StoppedError
    from trajvae.training.shares.follower import follow

    with stoppable() as heard:
        try:
            follow(ranks, device, functions=functions, asked=_asked(heard))
        except StoppedError as error:
            raise Silent(128 + (heard() or signal.SIGTERM)) from error
        if heard():
            raise Silent(128 + heard())


def _asked(heard: Callable[[], int]) -> Callable[[], bool]:
    return lambda: bool(heard())
