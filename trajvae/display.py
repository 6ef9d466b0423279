"""The display of results: one line at a prompt, and a short table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Integral, Real
from typing import NamedTuple

_MOST_ROWS = 12  # of a table that are shown
_LONGEST_TITLE = 200  # characters
_LONGEST_CELL = 80  # characters
_SYMBOLS = {"Angstrom": "Å", "degree": "°", "radian": "rad", "nat": "nats"}


class Summary(NamedTuple):
    """Hold what is displayed of a result.

    Attributes
    ----------
    title : str
        One line.
    rows : sequence of sequences
        Cells of a table, row by row.
    head : sequence of str
        Titles of the columns; empty for a table of names and values.
    """

    title: str
    rows: Sequence[Sequence[object]] = ()
    head: Sequence[str] = ()


class Displayed(ABC):
    """Display a result by its summary, without its arrays."""

    @abstractmethod
    def _summary(self) -> Summary:
        """Return the title and the table."""

    def __repr__(self) -> str:
        return f"<{_cut(self._summary().title, _LONGEST_TITLE)}>"

    def _repr_html_(self) -> str:
        """Return the table for a notebook, with every text escaped."""
        return html_table(self._summary())


class Brief:
    """Display the sizes of a dataclass's fields in one line, without their numbers."""

    def __repr__(self) -> str:
        held = vars(self).items()
        parts = ", ".join(f"{name} {_size(value)}" for name, value in held if not name.startswith("_"))
        return f"<{type(self).__name__}: {_cut(parts, _LONGEST_TITLE)}>"


def _size(value: object) -> str:
    """Return the shape of an array, the number of items in a container, or the representation of another value."""
    if hasattr(value, "shape"):
        return str(tuple(value.shape))
    if isinstance(value, Mapping | list | tuple):
        return f"of {len(value)}"
    return f"<{type(value).__name__}>" if isinstance(value, Brief) else repr(value)


def html_table(summary: Summary) -> str:
    """Return a summary as HTML without style or script: at most twelve rows, and the number of the others."""
    parts = [f"<table><caption>{escape(_cut(summary.title, _LONGEST_TITLE))}</caption>"]
    if summary.head:
        parts.append("<thead><tr>" + "".join(f"<th>{escape(title)}</th>" for title in summary.head) + "</tr></thead>")
    parts.append("<tbody>")
    for name, *cells in summary.rows[:_MOST_ROWS]:
        parts.append(f"<tr><th>{_cell(name)}</th>" + "".join(f"<td>{_cell(cell)}</td>" for cell in cells) + "</tr>")
    if len(summary.rows) > _MOST_ROWS:
        width = max(map(len, summary.rows[:_MOST_ROWS]))
        parts.append(f'<tr><td colspan="{width}">and {len(summary.rows) - _MOST_ROWS} more</td></tr>')
    return "".join([*parts, "</tbody></table>"])


def scalars(figures: Mapping[str, object]) -> list[tuple[str, object]]:
    """Return the figures that are a number or a text, as rows of a table."""
    return [(name, value) for name, value in figures.items() if isinstance(value, str | Real)]


def _cell(value: object) -> str:
    """Return a value as the text of a cell."""
    text = f"{value:.4g}" if isinstance(value, Real) and not isinstance(value, Integral) else str(value)
    return escape(_cut(text, _LONGEST_CELL))


def _cut(text: str, most: int) -> str:
    """Return a text cut to a number of characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def unit_symbol(unit: str) -> str:
    """Return a unit as it is printed, such as Å for the Angstrom of files; units without a symbol are unchanged."""
    return _SYMBOLS.get(unit, unit)
