"""`trajvae info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trajvae.verdict import verdict_of

from .. import options, report

_MOST = 40


@click.command(cls=options.GroupedCommand, epilog="Examples: trajvae info model.h5;  trajvae info --options euclidean")
@click.argument("file", required=False, type=options.PATH)
@click.option("--options", "backend", metavar="BACKEND", help="List what --set takes for a latent space.")
@options.as_json
@options.no_verify
def info(file: Path | None, backend: str | None, as_json: bool) -> None:
    """Say what one of trajvae's files holds, or which settings a latent space has."""
    if backend is not None:
        _backend(backend, as_json)
    elif file is not None:
        _file(file, as_json)
    else:
        raise click.UsageError("wanted a file, or --options BACKEND")


def _backend(backend: str, as_json: bool) -> None:
    from trajvae.latents import latent_options

    found = latent_options(backend)
    lines = [
        f"{o['name']} ({o['type']}{', ' + o['unit'] if o['unit'] else ''}) = {o['default']}: {o['help']}" for o in found
    ]
    report.result({"backend": backend, "options": found}, lines or ["no options"], as_json=as_json)


def _file(file: Path, as_json: bool) -> None:
    from trajvae.store import describe

    found = describe(file)
    head = f"{found['file']}: {found['kind']}, made by trajvae {found['version']} on {found['created']}"
    lines = [head, f"  command: {found['command']}   seed: {found['seed']}"]
    if not found["verified"]:
        lines.append("  its arrays were not compared with checksums: an older version wrote none, or --no-verify")
    summary = found.get("summary")
    if isinstance(summary, dict):
        lines += [f"  {line}" for line in verdict_of(summary)]
        summary = {name: value for name, value in summary.items() if name not in ("verdict", "reasons")}
    for name in ("status", "config"):
        if name in found:
            lines += _indented(name, found[name])
    if summary is not None:
        lines += _indented("summary", summary)
    means = [found.get(name) for name in ("mean_jsd", "mean_noise_floor")]
    if found["kind"] == "marginals" and all(isinstance(mean, float) for mean in means):
        lines += [f"  mean JSD of pair distances {means[0]:.4f} bits, noise floor {means[1]:.4f}"]
    inner = ("/trajvae/weights", "/trajvae/validity", "/trajvae/topology", "/h5md")
    shown = {k: d for k, d in found["datasets"].items() if not k.startswith(inner)}
    for name, d in list(shown.items())[:_MOST]:
        lines.append(f"  {name}  {tuple(d['shape'])}  {d['dtype']}  {d['unit']}".rstrip())
    if len(shown) > _MOST:
        lines.append(f"  and {len(shown) - _MOST} more datasets (all of them with --json)")
    report.result(found, lines, as_json=as_json)


def _indented(name: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [f"  {name}: {value}"]
    return [f"  {name}:", *(f"    {k}: {v}" for k, v in value.items())]
