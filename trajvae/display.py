"""How results show themselves: one line at a prompt, and a short table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Integral, Real
from typing import Any, NamedTuple

_ROWS = 12  # of a table that are shown
_LINE = 200  # characters of a title
_LONGEST = 80  # characters of a cell
_SYMBOLS = {"Angstrom": "Å", "degree": "°", "radian": "rad", "nat": "nats"}


class Summary(NamedTuple):
    """Hold what a result shows of itself.

    Attributes
    ----------
    title : str
        One line.
    rows : sequence of sequences
        Cells of a table, row by row.
    head : sequence of str
        Titles of its columns; empty for a table of names and values.
    """

    title: str
    rows: Sequence[Sequence[Any]] = ()
    head: Sequence[str] = ()


class Displayed(ABC):
    """Show what a result holds, never the numbers themselves."""

    @abstractmethod
    def _summary(self) -> Summary:
        """Title and table."""

    def __repr__(self) -> str:
        return f"<{_cut(self._summary().title, _LINE)}>"

    def _repr_html_(self) -> str:
        """The table for a notebook; every text in it is escaped."""
        return html_table(self._summary())


class Brief:
    """Show the sizes of what a dataclass holds in one line, never the numbers themselves."""

    def __repr__(self) -> str:
        held = vars(self).items()
        parts = ", ".join(f"{name} {_size(value)}" for name, value in held if not name.startswith("_"))
        return f"<{type(self).__name__}: {_cut(parts, _LINE)}>"


def _size(value: Any) -> str:
    """The shape of an array, the number of items of a container, other values as they are."""
    if hasattr(value, "shape"):
        return str(tuple(value.shape))
    if isinstance(value, Mapping | list | tuple):
        return f"of {len(value)}"
    return f"<{type(value).__name__}>" if isinstance(value, Brief) else repr(value)


def html_table(summary: Summary) -> str:
    """Return a summary as HTML without style or script: at most twelve rows, and how many there are beside them."""
    parts = [f"<table><caption>{escape(_cut(summary.title, _LINE))}</caption>"]
    if summary.head:
        parts.append("<thead><tr>" + "".join(f"<th>{escape(title)}</th>" for title in summary.head) + "</tr></thead>")
    parts.append("<tbody>")
    for name, *cells in summary.rows[:_ROWS]:
        parts.append(f"<tr><th>{_cell(name)}</th>" + "".join(f"<td>{_cell(cell)}</td>" for cell in cells) + "</tr>")
    if len(summary.rows) > _ROWS:
        width = max(map(len, summary.rows[:_ROWS]))
        parts.append(f'<tr><td colspan="{width}">and {len(summary.rows) - _ROWS} more</td></tr>')
    return "".join([*parts, "</tbody></table>"])


def scalars(figures: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the figures that are one number or text each, as rows of a table."""
    return [(name, value) for name, value in figures.items() if isinstance(value, str | Real)]


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, Real) and not isinstance(value, Integral) else str(value)
    return escape(_cut(text, _LONGEST))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def unit_symbol(unit: str) -> str:
    """Return a unit as it is printed, such as Å for the Angstrom of files; one that has no symbol stays as it is."""
    return _SYMBOLS.get(unit, unit)
