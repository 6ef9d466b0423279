"""`trajvae info`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajvae.verdict import verdict_lines_of

from .. import options, report
from .sensitivity import sensitivity_lines

if TYPE_CHECKING:
    from trajvae.store import FileDescription

_MOST = 40  # datasets that are listed
_INNER = ("/trajvae/weights", "/trajvae/validity", "/trajvae/topology", "/h5md")  # datasets that are not


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
    from trajvae.store import describe_file

    found = describe_file(file)
    header, attributes = found.header, found.attributes
    lines = [
        f"{found.file}: {header.kind}, made by trajvae {header.version} on {header.created}",
        f"  command: {header.command}   seed: {header.seed}",
    ]
    if not found.verified:
        lines.append("  its arrays were not compared with checksums: an older version wrote none, or --no-verify")
    summary = attributes.get("summary")
    if isinstance(summary, dict):
        lines += [f"  {line}" for line in verdict_lines_of(summary)]
        summary = {name: value for name, value in summary.items() if name not in ("verdict", "reasons")}
    for name in ("status", "weights", "config"):
        if name in attributes:
            lines += _indented(name, attributes[name])
    if summary is not None:
        lines += _indented("summary", summary)
    if header.kind == "model" and "/trajvae/local_geometry/neighbours" in found.datasets and not as_json:
        lines.append(_residuals(file))
    if header.kind == "marginals":
        lines += _mean_divergences(attributes)
    if "/sensitivity/atoms" in found.datasets and not as_json:
        lines += _movers(file)
    report.result(found.to_json(), [*lines, *_datasets(found)], as_json=as_json)


def _mean_divergences(attributes: Mapping[str, object]) -> list[str]:
    """Return a line on all pair distances, of a file that has their means."""
    jsd, floor = attributes.get("mean_jsd"), attributes.get("mean_noise_floor")
    if not (isinstance(jsd, float) and isinstance(floor, float)):
        return []
    return [f"  mean JSD of pair distances {jsd:.4f} bits, noise floor {floor:.4f}"]


def _residuals(file: Path) -> str:
    """Return where a model's draws have their residuals from."""
    from trajvae.results.trained_model import near_frames

    number = near_frames(file)
    near = f"of the {number} training frames that decode nearest to it, combined"
    return f"  draws about a decoded mean: residuals {near if number else 'from p(x|z)'}"


def _movers(file: Path) -> list[str]:
    """Return which atoms and residues move the latent coordinates, of a file that says so."""
    from trajvae.results.sensitivity import sensitivity_of

    return [f"  {line}" for line in sensitivity_lines(sensitivity_of(file).figures)]


def _datasets(found: FileDescription) -> list[str]:
    """Return one line per dataset, except the model's internal ones and those beyond the first 40."""
    shown = {name: dataset for name, dataset in found.datasets.items() if not name.startswith(_INNER)}
    lines = [f"  {name}  {tuple(d.shape)}  {d.dtype}  {d.unit}".rstrip() for name, d in list(shown.items())[:_MOST]]
    if len(shown) > _MOST:
        lines.append(f"  and {len(shown) - _MOST} more datasets (all of them with --json)")
    return lines


def _indented(name: str, value: object) -> list[str]:
    if not isinstance(value, dict):
        return [f"  {name}: {value}"]
    return [f"  {name}:", *(f"    {k}: {v}" for k, v in value.items())]
