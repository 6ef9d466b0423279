"""The one exception tree: every error a user can cause is a `TrajvaeError` with a one-line message."""


class TrajvaeError(Exception):
    """Base of all errors that trajvae raises on purpose; says what was wanted, what came, and the way out."""


class ReadError(TrajvaeError):
    """A trajectory, topology or array could not be read, or holds something that is no conformation."""


class SelectionError(TrajvaeError):
    """A selection is not understood, is empty, or is too large."""


class ModelError(TrajvaeError):
    """A model file is not one, is not complete, or belongs to another molecule."""


class OutputError(TrajvaeError):
    """A result cannot be written, or exists already."""


class OptionError(TrajvaeError):
    """An option has a value outside its range, or contradicts another."""


class StoppedError(TrajvaeError):
    """A training was asked to stop, and did; says how to go on."""


class TrajvaeWarning(UserWarning):
    """Something that a user should know and that does not stop the work."""
