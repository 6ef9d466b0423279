"""Exceptions: every error that a user can cause is a `TrajvaeError` with a one-line message."""

_LONGEST_MESSAGE = 2000  # characters

# what Python and numpy raise where the contents of a file are not what the code that reads them expects
DAMAGED: tuple[type[Exception], ...] = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


class TrajvaeError(Exception):
    """Base of all errors that trajvae raises on purpose.

    A message says what was wanted, what was found instead, and what to do about it.
    """

    def __str__(self) -> str:
        """Return the message as one line of printable text, whatever names a damaged file has put into it."""
        return printable(" ".join(super().__str__().split()))[:_LONGEST_MESSAGE]


def printable(text: str) -> str:
    """Return text with every unprintable character escaped: control characters in a file may steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class ReadError(TrajvaeError):
    """Report a trajectory, topology or array that cannot be read, or that holds something other than conformations."""


class SelectionError(TrajvaeError):
    """Report a selection that is not understood, is empty, or is too large."""


class ModelError(TrajvaeError):
    """Report a file that holds no model, or one that is not complete or belongs to another molecule."""


class OutputError(TrajvaeError):
    """Report a result that cannot be written, or that exists already."""


class OptionError(TrajvaeError):
    """Report an option with a value outside its range, or one that contradicts another."""


class UnknownOptionError(OptionError, TypeError):
    """Report an option that a function does not have; the message names the option that was probably meant."""


class MissingPackageError(TrajvaeError, ImportError):
    """Report that an optional package is not installed; the message says how to install it."""


class FigureError(ReadError, ValueError):
    """A figure that was read is of another type than it must be; names the figure."""


class StoppedError(TrajvaeError):
    """Report that a training stopped because it was asked to; the message says how to continue it."""


class LostProcessError(TrajvaeError):
    """Report that one of several processes that work together has ended before its time."""


class ClusterError(TrajvaeError):
    """Report a cluster that does not answer, has no workers, or whose workers cannot do what they are asked for."""


class TrajvaeWarning(UserWarning):
    """Warn of something that a user should know and that does not stop the work."""
