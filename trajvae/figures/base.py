"""The base class of figures: attributes for programs, and the JSON that is made from them and read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from trajvae.errors import FigureError
from trajvae.verdict import Reason, Verdict

if TYPE_CHECKING:
    from trajvae.typing import JSON  # with NumPy, which the help of the command line does without

_VERDICT = "judgement"  # the attribute that holds a verdict, whose own keys stand among the figures'
_SHOWN = 80  # characters of a wrong value in a message


@dataclass(frozen=True, eq=False, kw_only=True)
class Figures(Mapping[str, Any]):
    """Hold figures by name.

    Each figure is an attribute, with its unit in the docstring of the class. Figures are also a read-only mapping of
    what `to_json` returns: `figures["rmsd"]`, `"rmsd" in figures`, `figures.get("rmsd")` and `dict(figures)` work.

    Notes
    -----
    In a subclass, a field whose default is None is left out of the JSON while it is None; a field of no default is
    always there. The figures stand in the order of the fields, and a verdict comes last.
    """

    KEYS: ClassVar[Mapping[str, str]] = {}  # keys that differ from the attribute's name, as `from` must

    def to_json(self) -> dict[str, JSON]:
        """Return the figures by name, as `--json` prints and files store them."""
        out = {key: _to_json(getattr(self, name)) for key, name in _names(type(self)).items() if self._has(name)}
        judgement = getattr(self, _VERDICT, None)
        return out | judgement.to_json() if isinstance(judgement, Verdict) else out

    @classmethod
    def from_json(cls, stored: Mapping[str, JSON]) -> Self:
        """Return the figures of a file, which another version may have written.

        Figures that the file lacks are NaN, 0, False, None or empty, and stay out of `to_json`; those that this version
        does not know are left out.

        Raises
        ------
        FigureError
            A figure is of another type.
        """
        types = _types(cls)
        values: dict[str, Any] = {}
        for key, name in _names(cls).items():
            if key in stored:
                values[name] = _from_json(stored[key], types[name], key)
        if _VERDICT in types:
            values[_VERDICT] = _verdict_of(stored)
        lacking = [f.name for f in fields(cls) if f.name not in values and not _optional(f)]
        found = cls(**values, **{name: _nothing(types[name]) for name in lacking})
        object.__setattr__(found, "_lacking", frozenset(lacking))
        return found

    @classmethod
    def json_keys(cls) -> tuple[str, ...]:
        """Return the names of all figures in JSON, those that may be left out included."""
        own = tuple(_names(cls))
        return (*own, "verdict", "reasons") if _VERDICT in _types(cls) else own

    def _has(self, name: str) -> bool:
        """Whether a figure stands in the JSON."""
        if name in getattr(self, "_lacking", ()):
            return False
        return getattr(self, name) is not None or not _optional(type(self).__dataclass_fields__[name])

    def __getitem__(self, key: str) -> Any:
        return self.to_json()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_json())

    def __len__(self) -> int:
        return len(self.to_json())


@dataclass(frozen=True, eq=False, kw_only=True)
class JudgedFigures(Figures):
    """Hold figures with the verdict that they lead to.

    Attributes
    ----------
    judgement : Verdict or None
        The verdict with its reasons: the figures `verdict` and `reasons` in JSON.
    """

    judgement: Verdict | None = None

    @property
    def verdict(self) -> str | None:
        """Word of the verdict, such as "good"; None without one."""
        return None if self.judgement is None else self.judgement.verdict

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Reasons of the verdict, worst first."""
        return () if self.judgement is None else self.judgement.reasons

    def verdict_lines(self) -> list[str]:
        """Return the verdict for people, a line for each reason; no line without a verdict."""
        return [] if self.judgement is None else self.judgement.lines()


@cache
def _types(cls: type[Figures]) -> dict[str, Any]:
    """Types of the fields by name."""
    return get_type_hints(cls)


@cache
def _names(cls: type[Figures]) -> dict[str, str]:
    """Names of the attributes by their key in JSON; without the verdict."""
    return {cls.KEYS.get(f.name, f.name): f.name for f in fields(cls) if f.name != _VERDICT}


def _optional(field: Field[Any]) -> bool:
    """Whether a figure may be left out."""
    return field.default is not MISSING or field.default_factory is not MISSING


def _to_json(value: object) -> JSON:
    if isinstance(value, Figures):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(name): _to_json(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_to_json(inner) for inner in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a figure cannot be of type {type(value).__name__}")


def _verdict_of(stored: Mapping[str, JSON]) -> Verdict | None:
    if "verdict" not in stored:
        return None
    try:
        return Verdict.from_json(stored)
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong("verdict", "a verdict with its reasons", stored["verdict"]) from error


def _nothing(kind: Any) -> object:
    """What stands for a figure of a type that a file lacks."""
    if get_origin(kind) in (Union, UnionType):
        return None
    if get_origin(kind) is tuple:
        members = get_args(kind)
        return () if Ellipsis in members else tuple(_nothing(member) for member in members)
    if isinstance(kind, type) and issubclass(kind, Figures):
        return kind.from_json({})
    return float("nan") if kind is float else (get_origin(kind) or kind)()


def _from_json(value: JSON, kind: Any, key: str) -> object:
    """Return a value in the type of its field.

    Raises
    ------
    FigureError
        It is of another type.
    """
    origin, members = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = next(member for member in members if member is not type(None))
        return None if value is None else _from_json(value, inner, key)
    if origin is tuple and isinstance(value, list):
        several = Ellipsis in members
        if several or len(value) == len(members):
            types = [members[0]] * len(value) if several else members
            return tuple(_from_json(inner, member, key) for inner, member in zip(value, types, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return {str(name): _from_json(inner, members[1], key) for name, inner in value.items()}
    if origin is None and issubclass(kind, Figures) and isinstance(value, Mapping):
        return kind.from_json(value)
    if kind is float and (value is None or _is_number(value)):
        return float("nan") if value is None else value  # JSON has no NaN: where it was printed, it is null
    if (kind is int and _is_number(value)) or (kind in (str, bool) and isinstance(value, kind)):
        return value
    raise _wrong(key, _described(kind), value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _described(kind: Any) -> str:
    """A type in words."""
    words = {float: "a number", int: "a whole number", str: "text", bool: "true or false", tuple: "a list"}
    return words.get(get_origin(kind) or kind, "figures by name")


def _wrong(key: str, expected: str, found: object) -> FigureError:
    return FigureError(f"figure '{key}': expected {expected}, found {repr(found)[:_SHOWN]}")
