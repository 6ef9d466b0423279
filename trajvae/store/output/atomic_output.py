"""Writing output files completely or not at all, by one writer at a time, and never over a file without permission."""

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
from trajvae.store.output.deferred_signals import deferred_signals
from trajvae.store.output.drafts import Draft, publish_together
from trajvae.store.output.lock_files import living_holder, remove_dead
from trajvae.store.output.locks import Lock
from trajvae.store.output.targets import Target, find_target, version

_PATIENCE = 30.0  # seconds to wait for a holder that writes a single file
_SHORT_PATIENCE = 0.3  # seconds to wait for any other holder, which may only be checking whether a lock is held
_PAUSE = 0.01  # seconds between two attempts

_LOCKS: ContextVar[tuple[Lock, ...]] = ContextVar("locks", default=())  # that `hold_outputs` has taken in this context


def check_outputs(paths: Sequence[Path], *, force: bool, inputs: Sequence[Path] = ()) -> list[Target]:
    """Raise an error before long work if its results could not be written.

    Parameters
    ----------
    paths : sequence of Path
        Files that one output consists of.
    force : bool
        Whether existing files may be replaced.
    inputs : sequence of Path
        Files that are read, which are never replaced.

    Returns
    -------
    list of Target
        The files that will be written, without symbolic links.

    Raises
    ------
    OutputError
        A file is an input, or exists and `force` is off, or is not a regular file; or its folder does not exist, or no
        file can be created in it.
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
    """Return the targets of output paths, which must differ from each other and from the inputs."""
    targets = [find_target(path) for path in paths]
    for target in targets:
        if any(_is_same(target.path, other) for other in inputs):
            raise OutputError(f"'{target.name}' is read by this command: choose another -o/--output")
        if sum(target.path == other.path for other in targets) > 1:
            names = " and ".join(f"'{other.name}'" for other in targets if other.path == target.path)
            raise OutputError(f"{names} are one file, by a symbolic link: choose another name")
    return targets


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two names stand for one file, which need not exist yet."""
    exist = os.path.exists(path) and os.path.exists(other)
    return str(path) == os.path.realpath(other) or (exist and os.path.samefile(path, other))


def _check_absent(targets: Sequence[Target], *, force: bool, locks: Sequence[Lock] = ()) -> None:
    """Raise an error for files that exist and were not written under these locks, unless `force` is on."""
    written = {lock.target.path: lock.written for lock in locks}
    for target in targets:
        status = target.status()
        if status is not None and not force and version(status) != written.get(target.path):
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
    """Take the sole right to write some files, as long as the context lasts.

    Files that `check_outputs` refuses are refused. Within the context, and in its thread, `whole_files` writes the
    files; a file that was written so may be written again without `force`.

    Parameters
    ----------
    paths, force, inputs
        See `check_outputs`.
    going_on : bool
        Whether the work continues existing files, which it may then replace.
    brief : bool
        Whether the context lasts only as long as one file is written: other processes then wait instead of failing.

    Raises
    ------
    OutputError
        Another process, or another thread, writes one of the files; the message says which and since when.
    """
    targets = _targets(paths, inputs)
    held = {lock.target.path: lock for lock in _LOCKS.get() if lock.number >= 0}
    with contextlib.ExitStack() as stack:
        for target in sorted(targets, key=lambda t: t.path):
            if target.path not in held:
                held[target.path] = _take_lock(target, stack, brief=brief)
        locks = [held[target.path] for target in targets]
        if going_on:
            for lock in locks:
                lock.written = version(lock.target.status())
        _check_absent(targets, force=force, locks=locks)
        stack.callback(_LOCKS.reset, _LOCKS.set((*_LOCKS.get(), *locks)))
        yield locks


def _take_lock(target: Target, stack: contextlib.ExitStack, *, brief: bool) -> Lock:
    """Take the lock of a target, and make the stack release it."""
    lock, since = Lock(target, brief=brief), time.monotonic()
    remove_dead(target.folder)
    try:
        while True:
            with deferred_signals():
                if lock.take():
                    stack.callback(_release, lock)
                    return lock
            holder = living_holder(lock.path)
            if holder is not None:
                if time.monotonic() - since > (_PATIENCE if holder.brief else _SHORT_PATIENCE):
                    raise OutputError(
                        f"'{target.name}' is being written by {holder}: wait until it has ended, or choose another name"
                    )
                time.sleep(_PAUSE)
    except OSError as error:
        raise OutputError(f"cannot write '{target.name}': {refusal(error)}") from error


def _release(lock: Lock) -> None:
    """Release a lock without being interrupted by a signal."""
    with deferred_signals():
        lock.release()


@contextlib.contextmanager
def whole_files(*paths: Path, force: bool, alike: Callable[[Path, Path], bool] | None = None) -> Iterator[list[Path]]:
    """Yield temporary files to write to; rename all of them to `paths` at the end, or remove all after an error.

    Parameters
    ----------
    *paths : Path
        The final names. The last one is renamed last: a reader that finds it finds the others too.
    force : bool
        Whether existing files may be replaced.
    alike : callable, optional
        Called with the old and the new file of the first name; returns whether both fit the same other files.

    Yields
    ------
    list of Path
        The files to write to, which exist, are empty and have the same endings; see `path_for_writing`.

    Raises
    ------
    OutputError
        See `hold_outputs`; or the disk refused to write.
    """
    with hold_outputs(paths, force=force, brief=True) as locks, contextlib.ExitStack() as stack:
        drafts: list[Draft] = []
        try:
            for lock in locks:
                with deferred_signals():
                    drafts.append(Draft(lock))
                    stack.callback(drafts[-1].close)
            yield [draft.hidden for draft in drafts]
            first = drafts[0]
            apart = alike is None or first.target.status() is None or not alike(first.target.path, first.hidden)
            publish_together(drafts, force=force, apart=apart)
        except OSError as error:
            raise OutputError(f"cannot write '{paths[-1]}': {refusal(error)}") from error
