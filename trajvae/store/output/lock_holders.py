"""Who holds a lock: what its file says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from trajvae.store.json_text import parse_json

_LONGEST_COMMAND = 300
_TOKEN = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as its file says.

    Attributes
    ----------
    host, kernel : str
        The machine's name, and what tells its running kernel from all others.
    process : int
        Its number, as its own container counts.
    container : int
        Which numbering of processes that is.
    since : str
        When it took the lock, UTC.
    command : str
    token : str
        What names of its temporary files have in common.
    brief : bool
        Whether it writes one file and is done: worth waiting for.
    """

    host: str
    kernel: str
    process: int
    container: int
    since: str
    command: str
    token: str
    brief: bool

    @classmethod
    def here(cls, token: str, brief: bool) -> Holder:
        """This process."""
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
        command = " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])[:_LONGEST_COMMAND]
        command = command.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return cls(os.uname().nodename, this_kernel(), os.getpid(), _container(), since, command, token, brief)

    @classmethod
    def parse(cls, text: bytes) -> Holder | None:
        """A lock file's text; None where it is none."""
        try:
            values = parse_json(text)
            holder = cls(**{f.name: values[f.name] for f in fields(cls)})
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        wanted = {f.name: {"str": str, "int": int, "bool": bool}[str(f.type)] for f in fields(cls)}
        whole = all(type(value) is wanted[name] for name, value in asdict(holder).items())
        return holder if whole and _TOKEN.fullmatch(holder.token) else None

    def text(self) -> bytes:
        """What `parse` reads."""
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        if not self.process:
            return "another process, which has just begun"
        where = "" if self.container == _container() or self.kernel != this_kernel() else " of another container"
        return f"process {self.process}{where} on {self.host} since {self.since} UTC ({self.command})"


def this_kernel() -> str:
    """What is the same for all containers of one machine, until it is started anew."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return os.uname().nodename


def _container() -> int:
    """Which numbering of processes this one stands in; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino
    return 0


UNKNOWN = Holder("", "", 0, 0, "", "", "0" * 16, True)  # its file is empty: it has just begun, or the disk is full
