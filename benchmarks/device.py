"""All of it on a GPU beside the CPU: `python benchmarks/device.py`. Five minutes on an H100 and 16 cores.

Every latent space is trained, stopped and gone on with, saved, loaded on the CPU, and asked for every output; where
steps of training wait for the device is counted by lines; training and drawing are timed on both. What a check raises
is what its row says, with the traceback on stderr. `--device cpu` compares the CPU with itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import warnings

import torch
from device_models import model_rows
from device_speed import speed_rows

PARTS = {"speed": speed_rows, "models": model_rows}


def _described(device: str) -> str:
    """What it was measured with."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return f"{name}; torch {torch.__version__}; {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def main() -> None:
    """Print the table; exit 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="a part alone")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    chosen, good, begun = parser.parse_args(), True, time.monotonic()
    warnings.simplefilter("ignore")  # short trainings collapse, and say so
    print(_described(chosen.device), flush=True)
    print("| what | found | wanted | |\n|---|---|---|---|", flush=True)
    for part in [chosen.only] if chosen.only else PARTS:
        for what, found, wanted, met in PARTS[part](chosen.device):
            print(f"| {what} | {found} | {wanted} | {'ok' if met else 'MISSED'} |", flush=True)
            print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            good &= met
    sys.exit(not good)


if __name__ == "__main__":
    main()
