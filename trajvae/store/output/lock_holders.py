"""The holder of a lock, as it is written in the lock's file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from trajvae.errors import DAMAGED
from trajvae.store.json_text import parse_json

_LONGEST_COMMAND = 300  # characters
_TOKEN = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Holder:
    """Hold who has a lock, as the lock's file says.

    Attributes
    ----------
    host, kernel : str
        Name of the machine, and the identifier of its running kernel.
    process : int
        Process number in the holder's own container.
    container : int
        Number of the namespace of process numbers: the container.
    since : str
        Time at which the holder took the lock, in UTC.
    command : str
        The holder's command line.
    token : str
        Part of the names of the holder's temporary files.
    brief : bool
        Whether the holder writes one file and ends, so that others wait for it.
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
        """Return this process as a holder."""
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
        command = " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])[:_LONGEST_COMMAND]
        command = command.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return cls(os.uname().nodename, this_kernel(), os.getpid(), _container(), since, command, token, brief)

    @classmethod
    def parse(cls, text: bytes) -> Holder | None:
        """Return the holder that the text of a lock file names; None for any other text."""
        try:
            values = parse_json(text)
            holder = cls(**{f.name: values[f.name] for f in fields(cls)})
        except DAMAGED:
            return None
        types = {f.name: {"str": str, "int": int, "bool": bool}[str(f.type)] for f in fields(cls)}
        valid = all(type(value) is types[name] for name, value in asdict(holder).items())
        return holder if valid and _TOKEN.fullmatch(holder.token) else None

    def text(self) -> bytes:
        """Return the text of a lock file, which `parse` reads."""
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        if not self.process:
            return "another process, which has just begun"
        where = "" if self.container == _container() or self.kernel != this_kernel() else " of another container"
        return f"process {self.process}{where} on {self.host} since {self.since} UTC ({self.command})"


def this_kernel() -> str:
    """Return the identifier of the running kernel: the same in all containers, until the machine is started again."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return os.uname().nodename


def _container() -> int:
    """Return the number of this process's namespace of process numbers; 0 if the system does not give it."""
    with contextlib.suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino
    return 0


UNKNOWN = Holder(
    "", "", 0, 0, "", "", "0" * 16, True
)  # of a lock file that is empty still, or because the disk is full
