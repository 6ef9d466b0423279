"""Columns of numbers of other programs' files, and which of them a text names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trajvae.errors import OptionError, ReadError
from trajvae.plots.colours import colour_of
from trajvae.plots.columns import read_columns, split_name
from trajvae.results import Embedding
from trajvae.store import Quantity

COLVAR = """#! FIELDS time phi d1
#! SET min_phi -pi
#! SET max_phi pi
 0.000000 -1.500000 3.000000
 1.000000 2.500000 3.100000
#! FIELDS time phi d1
 2.000000 0.500000 nan
"""


def points(n: int, spacing: float = 1.0) -> Embedding:
    """Frames of one trajectory."""
    latent = np.random.default_rng(0).normal(size=(n, 2))
    time = spacing * np.arange(n)
    rows, unknown = np.arange(n), np.full(n, np.nan)
    return Embedding(
        latent=latent,
        latent_scale=np.ones((n, 2)),
        rmsd=unknown,
        frame_jump=unknown,
        file=np.zeros(n, dtype=np.int64),
        frame=rows,
        time=time,
        files=["a.xtc"],
        tangent=latent,
        coordinates="Cartesian",
        geometry="e2",
        frame_observables={"rg": Quantity(time, "Angstrom")},
    )


def test_colvar(tmp_path: Path) -> None:
    """Names, rows, what is repeated where a run began anew, and which column is an angle."""
    path = tmp_path / "COLVAR"
    path.write_text(COLVAR)
    table = read_columns(path)
    assert table.names == ("time", "phi", "d1") and table.values.shape == (3, 3)
    assert table.periods == {"phi": pytest.approx(2.0 * np.pi)}
    colour = colour_of(points(3), f"{path}:phi")
    assert colour.values.tolist() == [-1.5, 2.5, 0.5] and colour.period == pytest.approx(2.0 * np.pi)
    assert colour.label == "COLVAR: phi"


@pytest.mark.parametrize(
    ("text", "names"),
    [("a,b\n1,2\n3,4\n", ("a", "b")), ("1,2\n3,4\n", ("0", "1")), ("x y;z\n1;2\n3;4\n", ("x y", "z"))],
)
def test_csv(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    """With names or without, parted by commas or semicolons."""
    path = tmp_path / "numbers.csv"
    path.write_text(text)
    table = read_columns(path)
    assert table.names == names and table.values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert table.column("1")[1].tolist() == [2.0, 4.0]
    with pytest.raises(OptionError, match="has the columns"):
        table.column(None)
    with pytest.raises(OptionError, match="no column 'c'"):
        table.column("c")


def test_arrays(tmp_path: Path) -> None:
    """One number a row, or several; no pickle."""
    np.save(tmp_path / "one.npy", np.arange(4))
    np.save(tmp_path / "two.npy", np.arange(8.0).reshape(4, 2))
    assert colour_of(points(4), str(tmp_path / "one.npy")).values.tolist() == [0, 1, 2, 3]
    assert colour_of(points(4), f"{tmp_path / 'two.npy'}:1").values.tolist() == [1, 3, 5, 7]
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name, content in (
        ("words.txt", "no numbers\n"),
        ("cut.npy", "x"),
        ("none.dat", ""),
        ("ragged.csv", "1,2\n3\n"),
    ):
        (tmp_path / name).write_text(content)
    for name in ("objects.npy", "words.txt", "cut.npy", "none.dat", "ragged.csv"):
        with pytest.raises(ReadError, match="holds no"):
            read_columns(tmp_path / name)


def test_rows_are_found_by_their_time(tmp_path: Path) -> None:
    """A COLVAR of ten rows a frame; frames that it lacks are told, and so are rows that nothing says the time of."""
    time = 0.1 * np.arange(101)
    path = tmp_path / "colvar.dat"
    path.write_text("#! FIELDS time d\n" + "".join(f"{t:.6f} {t**2:.6f}\n" for t in time))
    np.testing.assert_allclose(colour_of(points(10), f"{path}:d").values, np.arange(10.0) ** 2)
    with pytest.raises(ReadError, match=r"9 frames, such as that at 11 ps"):
        colour_of(points(20), f"{path}:d")
    np.save(tmp_path / "x.npy", np.zeros(7))
    with pytest.raises(ReadError, match=r"has 7 rows, and there are 10 frames"):
        colour_of(points(10), str(tmp_path / "x.npy"))


def test_what_the_file_holds_comes_first(tmp_path: Path) -> None:
    """Its observables and its time; a name that is none is told with those that are."""
    assert colour_of(points(5), "rg").label == "radius of gyration (Å)"
    assert colour_of(points(5), "time").values.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(OptionError, match="no observable 'sasa'; there are frame_jump, rg, rmsd, time, trajectory"):
        colour_of(points(5), "sasa")
    with pytest.raises(ReadError, match="no file"):
        colour_of(points(5), "nowhere.csv:2")
    (tmp_path / "a:b.csv").write_text("1\n")
    assert split_name(str(tmp_path / "a:b.csv")) == (tmp_path / "a:b.csv", None)
