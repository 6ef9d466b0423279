"""The one exception tree: every error a user can cause is a `TrajvaeError` with a one-line message."""

_LONGEST = 2000  # characters of a message


class TrajvaeError(Exception):
    """Base of all errors that trajvae raises on purpose; says what was wanted, what came, and the way out."""

    def __str__(self) -> str:
        """One line of printable text, whatever names a damaged file has put into it."""
        return printable(" ".join(super().__str__().split()))[:_LONGEST]


def printable(text: str) -> str:
    """Return text with every unprintable character escaped: a file's words may steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class ReadError(TrajvaeError):
    """A trajectory, topology or array cannot be read, or holds something other than conformations."""


class SelectionError(TrajvaeError):
    """A selection is not understood, is empty, or is too large."""


class ModelError(TrajvaeError):
    """A model file is not one, is not complete, or belongs to another molecule."""


class OutputError(TrajvaeError):
    """A result cannot be written, or exists already."""


class OptionError(TrajvaeError):
    """An option has a value outside its range, or contradicts another."""


class UnknownOptionError(OptionError, TypeError):
    """A function was given an option that it does not have; names the option that was probably meant."""


class MissingPackageError(TrajvaeError, ImportError):
    """An optional package is not installed; says how to install it."""


class FigureError(ReadError, ValueError):
    """A figure that was read is of another type than it must be; names the figure."""


class StoppedError(TrajvaeError):
    """A training was asked to stop, and did; says how to go on."""


class TrajvaeWarning(UserWarning):
    """Something that a user should know and that does not stop the work."""
