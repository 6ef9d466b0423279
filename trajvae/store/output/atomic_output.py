"""Files that are whole or absent, of one writer at a time, and never replaced unasked."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.runtime.system import refusal
from trajvae.store.output.deferred_signals import postponed
from trajvae.store.output.drafts import Draft, appear_together
from trajvae.store.output.locks import Lock, holder_of, remove_dead
from trajvae.store.output.targets import Target, find_target, version

_BRIEF = 30.0  # seconds to wait for one that writes a single file
_GLANCE = 0.3  # and for one that only looks whether a lock is held
_PAUSE = 0.01  # seconds between two looks

_HELD: ContextVar[tuple[Lock, ...]] = ContextVar("held", default=())


def check_outputs(paths: Sequence[Path], *, force: bool, inputs: Sequence[Path] = ()) -> list[Target]:
    """Refuse before any long work what could not be written after it.

    Parameters
    ----------
    paths : sequence of Path
        All files that one output consists of.
    force : bool
        Whether existing files may be replaced.
    inputs : sequence of Path
        What is read: never replaced.

    Returns
    -------
    list of Target
        Where the files will stand.

    Raises
    ------
    OutputError
        A file is an input, or exists and `force` is off, is no regular file, the folder is missing, or nothing can be
        created in it.
    """
    targets = _targets(paths, inputs)
    _check_absent(targets, force=force)
    for target in targets:
        try:
            with tempfile.TemporaryFile(dir=target.folder):
                pass
        except OSError as error:
            raise OutputError(f"cannot write '{target.name}': {refusal(error)}") from error
    return targets


def _targets(paths: Sequence[Path], inputs: Sequence[Path]) -> list[Target]:
    targets = [find_target(path) for path in paths]
    for target in targets:
        if any(_same(target.path, other) for other in inputs):
            raise OutputError(f"'{target.name}' is read by this command: choose another -o/--output")
        if sum(target.path == other.path for other in targets) > 1:
            names = " and ".join(f"'{other.name}'" for other in targets if other.path == target.path)
            raise OutputError(f"{names} are one file, by a symbolic link: choose another name")
    return targets


def _same(path: Path, other: Path) -> bool:
    """Whether two names are one file, whether or not it exists yet."""
    there = os.path.exists(path) and os.path.exists(other)
    return str(path) == os.path.realpath(other) or (there and os.path.samefile(path, other))


def _check_absent(targets: Sequence[Target], *, force: bool, locks: Sequence[Lock] = ()) -> None:
    """Refuse files that exist, but for those that were made under these locks."""
    own = {lock.target.path: lock.made for lock in locks}
    for target in targets:
        status = target.status()
        if status is not None and not force and version(status) != own.get(target.path):
            raise OutputError(
                f"'{target.name}' exists: choose another name, or replace it with -f/--force (in Python: force=True)"
            )


@contextlib.contextmanager
def hold_outputs(
    paths: Sequence[Path],
    *,
    force: bool = False,
    inputs: Sequence[Path] = (),
    going_on: bool = False,
    brief: bool = False,
) -> Iterator[list[Lock]]:
    """Be the only one who writes these files, from before the work until after it.

    What `check_outputs` refuses is refused. Within the block, and in its thread, `whole_files` writes them; a file that
    was made so may be made again without `force`.

    Parameters
    ----------
    paths, force, inputs
        As of `check_outputs`.
    going_on : bool
        Existing files are this work's own: it goes on with them.
    brief : bool
        One file is written and no more: others wait for the end instead of being refused.

    Raises
    ------
    OutputError
        Another process, or another thread, writes one of them; the message says who and since when.
    """
    targets = _targets(paths, inputs)
    before = {lock.target.path: lock for lock in _HELD.get() if lock.number >= 0}
    with contextlib.ExitStack() as stack:
        for target in sorted(targets, key=lambda t: t.path):
            if target.path not in before:
                before[target.path] = _taken(target, stack, brief=brief)
        locks = [before[target.path] for target in targets]
        if going_on:
            for lock in locks:
                lock.made = version(lock.target.status())
        _check_absent(targets, force=force, locks=locks)
        known = _HELD.set((*_HELD.get(), *locks))
        stack.callback(_HELD.reset, known)
        yield locks


def _taken(target: Target, stack: contextlib.ExitStack, *, brief: bool) -> Lock:
    """Take a lock, which the stack releases."""
    lock, since = Lock(target, brief=brief), time.monotonic()
    remove_dead(target.folder)
    try:
        while True:
            with postponed():
                if lock.take():
                    stack.callback(_released, lock)
                    return lock
            holder = holder_of(lock.path)
            if holder is not None:
                if time.monotonic() - since > (_BRIEF if holder.brief else _GLANCE):
                    raise OutputError(
                        f"'{target.name}' is being written by {holder}: wait until that has ended, or choose another "
                        "name"
                    )
                time.sleep(_PAUSE)
    except OSError as error:
        raise OutputError(f"cannot write '{target.name}': {refusal(error)}") from error


def _released(lock: Lock) -> None:
    with postponed():
        lock.release()


@contextlib.contextmanager
def whole_files(*paths: Path, force: bool, alike: Callable[[Path, Path], bool] | None = None) -> Iterator[list[Path]]:
    """Give temporary files in place of `paths`; rename all of them at the end, or remove all of them on an error.

    Parameters
    ----------
    *paths : Path
        The final names. The last one is renamed last: a reader that finds it finds the others too.
    force : bool
        Whether existing files may be replaced.
    alike : callable, optional
        Of two files: whether the old file of the first name and its new one fit the same other files.

    Yields
    ------
    list of Path
        The files to write to, which are there and empty, with the same endings; see `steady`.

    Raises
    ------
    OutputError
        As `hold_outputs`, or the disk refused.
    """
    with hold_outputs(paths, force=force, brief=True) as locks, contextlib.ExitStack() as stack:
        drafts: list[Draft] = []
        try:
            for lock in locks:
                with postponed():
                    drafts.append(Draft(lock))
                    stack.callback(drafts[-1].close)
            yield [draft.hidden for draft in drafts]
            first = drafts[0]
            apart = alike is None or first.target.status() is None or not alike(first.target.path, first.hidden)
            appear_together(drafts, force=force, apart=apart)
        except OSError as error:
            raise OutputError(f"cannot write '{paths[-1]}': {refusal(error)}") from error
