"""What a figure was measured with: versions, processor, commit."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "trajvae", "torch", "numpy", "scipy", "h5py", "MDAnalysis", "MDAnalysisTests", "mdtraj", "pythae", "mlcolvar",
    "lightning", "deeptime", "manify", "geoopt",
)  # fmt: skip


def _processor() -> str:
    """Its name, as Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """The commit of the working tree, and whether its code differs from it."""
    root, own = Path(__file__).parents[1], [":!docs/benchmarks.md", ":!benchmarks/results.json"]
    git = [["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "-uno", "--", ".", *own]]
    commit, changed = (subprocess.run(["git", *g], cwd=root, capture_output=True, text=True).stdout for g in git)
    return commit.strip() + ("-dirty" if changed.strip() else "")


def _version(name: str) -> str:
    """Of a package, if it is there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def described() -> dict[str, Any]:
    """Date, commit, machine, versions."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }
