"""Figures of several panels, and the files they are written to."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from trajvae._version import __version__
from trajvae.errors import DAMAGED, OptionError, OutputError, ReadError, TrajvaeError
from trajvae.plots import style
from trajvae.plots.latent_panels import Panel
from trajvae.store import path_for_writing

FORMATS = (".png", ".svg", ".pdf")
DPI = (20.0, 1200.0)
_FLAT = 0.75  # of a panel's height, that of one which is twice as wide
_ONCE = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # so that one figure is one file, at any time


def draw(panels: Sequence[Panel], columns: int = 2) -> Figure:
    """Draw panels side by side, each as wide as a printed column; a single last one has a row for itself.

    Parameters
    ----------
    panels : sequence of (name, function)
        Functions of this module that need nothing more than axes.
    columns : int
        Panels in a row.

    Returns
    -------
    Figure
        Of no window: its own method that saves it chooses how it is drawn.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    wide = columns == 2 and len(panels) % 2 == 1
    heights = [1.0] * (rows - wide) + [_FLAT] * wide
    with style.settings():
        size = (style.COLUMN * columns, style.PANEL_HEIGHT * sum(heights))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(rows, columns, height_ratios=heights)
        for i, panel in enumerate(panels):
            place = grid[-1, :] if wide and i == len(panels) - 1 else grid[divmod(i, columns)]
            _draw_one(panel, figure.add_subplot(place))
        for text in figure.findobj(Text):
            text.set_text(style.plain(text.get_text()))
    return figure


def _draw_one(panel: Panel, ax: Axes) -> None:
    """Draw it, or say what a damaged file lacks for it."""
    name, function = panel
    try:
        function(ax=ax)
    except TrajvaeError:
        raise
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(
            f"there is no drawing the panel '{name}': what it needs is missing or damaged: {reason}"
        ) from error


def check_format(path: Path) -> None:
    """Refuse an ending that says no format.

    Raises
    ------
    OutputError
    """
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"figures are written to a file that ends in {', '.join(FORMATS)}, got '{path}'")


def save(figure: Figure, path: Path, *, dpi: float = 300.0, command: str = "trajvae.plots.save") -> None:
    """Write a figure in the format of the file's ending, with the version and the command that made it in the file.

    Parameters
    ----------
    figure : Figure
    path : Path
        Written as it is; the caller makes it whole or absent.
    dpi : float
        Dots an inch; of SVG and PDF, those of their many-pointed parts.
    command : str

    Raises
    ------
    OutputError
        Another ending than png, svg or pdf.
    OptionError
        A number of dots that is none, or out of range.
    """
    check_format(path)
    ending, maker = path.suffix.lower(), f"trajvae {__version__}"
    names = {".png": ("Software", "Description"), ".svg": ("Creator", "Description"), ".pdf": ("Creator", "Subject")}
    made = dict(zip(names[ending], (maker, command), strict=True))
    if not DPI[0] <= dpi <= DPI[1]:
        raise OptionError(f"dpi must lie between {DPI[0]:.0f} and {DPI[1]:.0f}, got {dpi}")
    content = io.BytesIO()  # writers of a format leave a file half closed where the disk is full
    with style.settings():
        figure.savefig(content, dpi=dpi, metadata={**made, **_ONCE.get(ending, {})}, format=ending[1:])
    Path(path_for_writing(path)).write_bytes(content.getbuffer())
