"""Progress bars on stderr, where that is a terminal: one for each stage of the work, with the time it has taken."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from trajvae.runtime.progress import Report, listening

_BEAT = 0.5  # seconds between looks at the clock
_SHORT = 0.4  # seconds that work may take without a bar
_OFTEN = 0.1  # least number of seconds between two updates of the line


@dataclass(eq=False)
class Bar:
    """Hold one stage of the work."""

    what: str
    unit: str = ""
    total: int | None = None
    done: int = 0
    note: str = ""
    since: float = field(default_factory=time.monotonic)

    def line(self, columns: int) -> str:
        """Return the line that shows the stage."""
        from tqdm import tqdm

        spent = time.monotonic() - self.since
        if not self.unit:
            return f"{self.what} {tqdm.format_interval(spent)}"[:columns]
        known: Any = None if self.total is None else max(self.total, self.done)  # tqdm's types know no None
        marks: dict[str, Any] = {"ncols": columns, "prefix": self.what, "unit": self.unit}
        return str(tqdm.format_meter(self.done, known, spent, **marks, postfix=self.note or None))


class Display:
    """Show the bar of the innermost stage of the work in one line, and a clock between stages.

    Parameters
    ----------
    stream : TextIO
        A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock, self._ended = stream, threading.RLock(), threading.Event()
        self._bars: list[Bar] = []
        self._idle, self._shown, self._drawn = Bar("working"), 0, 0.0
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def begin(self, bar: Bar) -> None:
        """Show a bar from now on."""
        with self._lock:
            self._bars.append(bar)

    def update(self, bar: Bar, done: int, figure: float | None = None) -> None:
        """Set how far a bar's stage is, with a figure beside it."""
        with self._lock:
            bar.done = done
            if figure is not None and math.isfinite(figure):
                bar.note = f"{figure:.4g}"
            if self._bars and bar is self._bars[-1]:
                self._draw(bar)

    def end(self, bar: Bar) -> None:
        """Show a bar no longer."""
        with self._lock:
            if bar in self._bars:
                self._bars.remove(bar)
                self._idle.since = time.monotonic()
                self._clear()

    @contextlib.contextmanager
    def stage(self, what: str, unit: str, total: int | None) -> Iterator[Report]:
        """Show a bar while a stage of the work lasts; yield the function that takes the units done."""
        bar = Bar(what, unit, total)
        self.begin(bar)
        try:
            yield lambda done: self.update(bar, done)
        finally:
            self.end(bar)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the bar while something else is printed."""
        with self._lock:
            self._clear()
            yield

    def start(self) -> None:
        """Begin to look at the clock."""
        self._thread.start()

    def stop(self) -> None:
        """End, and leave nothing on the terminal."""
        self._ended.set()
        self._thread.join()
        self._clear()

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT):
            with self._lock:
                self._draw(self._bars[-1] if self._bars else self._idle)

    def _draw(self, bar: Bar) -> None:
        now = time.monotonic()
        if now - bar.since < _SHORT or now - self._drawn < _OFTEN:
            return
        text = bar.line(_columns(self._stream))
        self._write("\r" + text.ljust(self._shown))
        self._shown, self._drawn = len(text), now

    def _clear(self) -> None:
        if self._shown:
            self._write("\r" + " " * self._shown + "\r")
            self._shown = 0

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that was closed
            self._stream.write(text)
            self._stream.flush()


class _Shown:
    """The display of the running command, if there is one."""

    display: Display | None = None


def _columns(stream: TextIO) -> int:
    """Return the width of the terminal; some terminals report a width of 0."""
    try:
        wide = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        wide = 0
    return (wide or 80) - 1


def display() -> Display | None:
    """Return the display of the running command, or None where stderr is not a terminal."""
    return _Shown.display


@contextlib.contextmanager
def showing() -> Iterator[None]:
    """Show progress bars as long as the context lasts, where stderr is a terminal."""
    if not sys.stderr.isatty() or _Shown.display is not None:
        yield
        return
    import tqdm  # noqa: F401  # before there is a second thread

    shown = _Shown.display = Display(sys.stderr)
    shown.start()
    try:
        with listening(shown):
            yield
    finally:
        _Shown.display = None
        shown.stop()


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Hide the bar as long as the context lasts."""
    shown = _Shown.display
    with shown.aside() if shown is not None else contextlib.nullcontext():
        yield
