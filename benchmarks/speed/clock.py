"""Several ways of doing one thing timed in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Timer = Callable[[], float]


def seconds(run: Callable[[], object], repeats: int = 1) -> Timer:
    """A timer of whole calls: the mean of some that follow each other."""

    def measure() -> float:
        begun = time.perf_counter()
        for _ in range(repeats):
            run()
        return (time.perf_counter() - begun) / repeats

    return measure


@dataclass(frozen=True)
class Times:
    """Seconds of every round, by name."""

    rounds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Of one of them."""
        return statistics.median(self.rounds[name])

    def fastest(self, names: Iterable[str]) -> str:
        """The one whose median is the smallest."""
        return min(names, key=self.median)

    def ratios(self, slow: str, fast: str) -> list[float]:
        """Seconds of one over those of another, round by round."""
        return [a / b for a, b in zip(self.rounds[slow], self.rounds[fast], strict=True)]


def in_turn(timers: Mapping[str, Timer], rounds: int) -> Times:
    """A round of all for warming up, then some that count."""
    taken: dict[str, list[float]] = {name: [] for name in timers}
    for number in range(rounds + 1):
        for name, timer in timers.items():
            took = timer()
            if number:
                taken[name].append(took)
    return Times(taken)
