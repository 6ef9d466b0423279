"""Whether this user wrote a checkpoint: a code over its origin, made with a secret key that stands in the user's home.

A checkpoint names the trajectories and topologies that it was begun with. One's own files are opened by those names; a
checkpoint that came from elsewhere may name any file of this machine.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

_BYTES = 32


def sign_origin(origin: Mapping[str, object]) -> str:
    """Return the code of an origin, or an empty text where no key can be kept."""
    with contextlib.suppress(OSError, RuntimeError):
        return _code(origin, _read_key(_key_file()) or _make_key(_key_file()))
    return ""


def is_own(origin: Mapping[str, object], code: object) -> bool:
    """Return whether a code was made by this user for this origin."""
    with contextlib.suppress(OSError, RuntimeError):
        key = _read_key(_key_file())
        return key is not None and isinstance(code, str) and hmac.compare_digest(_code(origin, key), code)
    return False


def _code(origin: Mapping[str, object], key: bytes) -> str:
    text = json.dumps(origin, sort_keys=True)
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _key_file() -> Path:
    """Where programs keep state of a user, by the XDG base directory specification."""
    state = os.environ.get("XDG_STATE_HOME", "")
    above = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return above / "trajvae" / "key"


def _read_key(path: Path) -> bytes | None:
    """Return the key; None where there is none, or where others could have written it."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        key = file.read(_BYTES + 1) if private else b""
    return key if len(key) == _BYTES else None


def _make_key(path: Path) -> bytes:
    """Write a new key beside its place and link it there, so that of two processes both use the one that came first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"key.{secrets.token_hex(8)}")
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink()
    key = _read_key(path)
    if key is None:
        raise OSError(f"'{path}' is no key of this user")
    return key
