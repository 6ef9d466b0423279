"""Figures: their JSON is that of the contract, they read what any version wrote, and they are mappings too."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from trajvae import figures as room
from trajvae.errors import ReadError
from trajvae.figures import (
    BasinFigures,
    CandidateFigures,
    CommittorFigures,
    ComparisonFigures,
    CoordinateFigures,
    DivergenceFigures,
    EmbeddingFigures,
    ExportFigures,
    Figures,
    FreeEnergyFigures,
    GenerationFigures,
    JudgedFigures,
    KineticsFigures,
    MarginalFigures,
    MovedFigures,
    MoverFigures,
    NoveltyFigures,
    OptimizationFigures,
    PathFigures,
    RejectionFigures,
    RepresentativeFigures,
    SamplerFigures,
    SensitivityFigures,
    TimeScaleFigures,
    conformation_figures,
)
from trajvae.verdict import CARE, Reason, Verdict

VERDICT = Verdict((Reason("off_data", CARE, "60 % of the latent points lie off the data", "--sampler aggregate"),))
GENERATION = GenerationFigures(
    n=60, valid=57, drawn=70, valid_raw=50, redrawn=20, sampler="prior", off_data=0.25, of="sample", judgement=VERDICT
)
REJECTION = RejectionFigures(reason="contact", count=3, best=1.25, why="atom 4 and atom 11 0.18 Å apart")
OPTIMIZATION = OptimizationFigures(
    objective="rg",
    goal="min",
    of="sample",
    unit="Angstrom",
    period=0.0,
    initial=1.5,
    expected=1.25,
    steps=200,
    optimum=1.125,
    away=None,
    best_observed=1.5,
    best_observed_frame=7,
    best_observed_file=None,
    best_observed_file_frame=7,
    better_than_observed=True,
    ratio=0.75,
    quantiles=(1.5, 3.25),
    in_support=True,
    valid=True,
    failure="",
    projected=False,
    structures=10,
    merged=2,
    merge_radius=0.5,
    better_rejected=(REJECTION,),
    bonds=(0.75, 1.25),
    simulated_bonds=(0.5, 1.5),
    judgement=Verdict(),
)
PATH = PathFigures(
    start="0",
    end="97",
    metric="density",
    frames=8,
    length=0.5,
    straight_length=0.75,
    energy=0.125,
    length_angstrom=0.25,
    straight_length_angstrom=0.25,
    nearest_rmsd=0.5,
    valid=8,
    crossings=2,
)
CANDIDATE = CandidateFigures(
    elbo=-8.0,
    iwae=-7.5,
    behind=0.0,
    elbo_behind=0.0,
    elbo_se=0.25,
    iwae_se=0.25,
    behind_se=0.0,
    elbo_behind_se=0.0,
    latent_dim=2,
    effective_draws=7.0,
    few_effective=0.5,
    rmsd=0.5,
    pca_rmsd=0.75,
    active_units=2.0,
    kl={"z1": 0.5, "z2": 0.25},
    bounds=(-8.0, -7.5),
    behind_interval=0.0,
    correlation_time=1.5,
    independent=26.0,
    repeats=1,
    epochs=50.0,
    seconds=3.0,
    vamp2=1.9,
)
COMPARISON = ComparisonFigures(
    backends={"euclidean": CANDIDATE, "mine": replace(CANDIDATE, behind=0.5)},
    best="euclidean",
    within_error=("mine",),
    different=(),
    behind_over_frames=(),
    training_variance=False,
    few_blocks=False,
    held_out=50,
)
NOVELTY = NoveltyFigures(nearest=0.5, nearest_held_out=0.25, coverage=0.125, coverage_train=1.0)
MARGINALS = MarginalFigures(
    mean_jsd=0.25,
    mean_noise_floor=0.125,
    mean_random_floor=0.125,
    mean_held_out_floor=0.25,
    mean_jsd_train=0.25,
    mean_jsd_held_out=0.5,
    mean_jsd_pca=0.25,
    mean_jsd_resampled=0.125,
    held_out=100,
    sampler="prior",
    nearest=0.5,
    nearest_held_out=0.25,
    coverage=0.125,
    coverage_train=1.0,
    draws=80,
    effective_sample_size=160.5,
)
EMBEDDING = EmbeddingFigures(frames=400, elbo=-8.0, rmsd=0.5, pca_rmsd=0.75, in_support=0.96875, judgement=VERDICT)
WALK = SamplerFigures(sampler="metric", acceptance=0.75, effective_sample_size=5.0)
DIVERGENCE = DivergenceFigures(jsd=0.25, w1=0.5, noise_floor=0.125)
REPRESENTATIVE = RepresentativeFigures(file="traj.xtc", frame=7, structure="basin_0.pdb")
BASIN = BasinFigures(
    population=0.75, population_error=0.125, free_energy=0.0, error=0.5, minimum=0.25, representative=REPRESENTATIVE
)
FREE_ENERGY = FreeEnergyFigures(
    temperature=300.0,
    effective_samples=400.0,
    correlation_time=8.0,
    correlation_unit="ps",
    frames=1000,
    pairs=("z0-z1",),
    basins_of="z0-z1",
    bandwidth={"z0-z1": (0.125, 0.25)},
    smoothing={"z0-z1": 0.5},
    basins=(BASIN,),
    barriers=((0.25,),),
)
COORDINATE = CoordinateFigures(name="z0", low=-1.5, high=2.25, mean=0.5, spread=0.75, width=0.125)
EXPORT = ExportFigures(
    engine="plumed",
    unit="nm",
    dtype="float32",
    atoms=10,
    outputs=(COORDINATE,),
    files=("cv.pt", "cv.json"),
    model_hash="ab12",
)
MOVER = MoverFigures(name="ALA2:CB", number=5, value=0.25)
MOVED = MovedFigures(name="z0", spread=0.75, residues=(replace(MOVER, name="ALA2", number=1),), atoms=(MOVER,))
SENSITIVITY = SensitivityFigures(
    frames=100, atoms=10, residues=3, coordinates=(MOVED,), model_hash="ab12", effective_sample_size=8.5
)
TIME_SCALES = TimeScaleFigures(lag=(4.0, 8.0), value=((20.0, 5.0), (24.0, 6.0)), error=((2.0, 0.5), (2.5, 0.75)))
COMMITTOR = CommittorFigures(
    source="0",
    target="z0=1..",
    source_frames=300,
    target_frames=200,
    frames=450,
    excursions=120,
    passages=(12, 11),
    transition_states=7,
    explained={"latent": 0.5, "tica": 0.25},
    explained_error={"latent": 0.0625, "tica": 0.125},
    structures="transition_states.pdb",
)
KINETICS = KineticsFigures(
    lag=8.0,
    lag_unit="ps",
    vamp2={"latent": 1.75, "tica": 2.0, "pca": 1.25},
    vamp2_error={"latent": 0.125, "tica": 0.25, "pca": 0.0625},
    timescales={"markov": TIME_SCALES, "latent": TIME_SCALES},
    processes=2,
    noise=0.125,
    deviation=1.5,
    states=50,
    connected=0.75,
    frames=1000,
    committor=COMMITTOR,
)
EVERY: list[Figures] = [
    *(GENERATION, OPTIMIZATION, REJECTION, PATH, CANDIDATE, COMPARISON, NOVELTY, MARGINALS, EMBEDDING, WALK),
    *(DIVERGENCE, REPRESENTATIVE, BASIN, FREE_ENERGY, COORDINATE, EXPORT, MOVER, MOVED, SENSITIVITY),
    *(TIME_SCALES, KINETICS, COMMITTOR),
]
# what `--json` prints of each, beside `output` and the like: section 4.1 of the design, and what was added since
KEYS = {
    GenerationFigures: "n valid drawn valid_raw redrawn moved sampler acceptance effective_sample_size off_data of "
    "geometry energy energy_drawn nearest_rmsd verdict reasons",
    OptimizationFigures: "objective goal of unit period initial expected steps optimum away best_observed "
    "best_observed_frame best_observed_file best_observed_file_frame better_than_observed ratio quantiles in_support "
    "valid failure projected structures merged merge_radius better_rejected bonds simulated_bonds verdict reasons",
    RejectionFigures: "reason count best why",
    CoordinateFigures: "name low high mean spread width slope steepest",
    ExportFigures: "to unit dtype atoms outputs files model_hash",
    PathFigures: "from to metric frames length straight_length energy length_angstrom straight_length_angstrom "
    "nearest_rmsd valid crossings",
    CandidateFigures: "elbo iwae behind elbo_behind elbo_se iwae_se behind_se elbo_behind_se latent_dim "
    "effective_draws few_effective rmsd pca_rmsd active_units kl bounds behind_interval correlation_time independent "
    "repeats epochs seconds vamp2",
    ComparisonFigures: "backends best within_error different behind_over_frames training_variance few_blocks held_out "
    "effective_sample_size",
    NoveltyFigures: "nearest nearest_held_out coverage coverage_train",
    MarginalFigures: "mean_jsd mean_noise_floor mean_random_floor mean_held_out_floor mean_jsd_train mean_jsd_held_out "
    "mean_jsd_pca mean_jsd_resampled held_out sampler nearest nearest_held_out coverage coverage_train "
    "draws effective_sample_size",
    EmbeddingFigures: "frames elbo rmsd pca_rmsd in_support effective_sample_size verdict reasons",
    SamplerFigures: "sampler acceptance effective_sample_size",
    DivergenceFigures: "jsd w1 noise_floor",
    RepresentativeFigures: "file frame structure",
    BasinFigures: "population population_error free_energy error minimum representative",
    FreeEnergyFigures: "temperature effective_samples correlation_time correlation_unit frames pairs basins_of "
    "bandwidth smoothing basins barriers",
    MoverFigures: "name number value",
    MovedFigures: "name spread residues atoms",
    SensitivityFigures: "frames atoms residues coordinates model_hash effective_sample_size",
    TimeScaleFigures: "lag value error",
    KineticsFigures: "lag lag_unit vamp2 vamp2_error timescales processes noise deviation states connected frames "
    "committor",
    CommittorFigures: "from to source_frames target_frames frames excursions passages transition_states explained "
    "explained_error structures",
}
OPTIONAL = {
    CoordinateFigures: {"slope", "steepest"},
    CandidateFigures: {"vamp2"},
    GenerationFigures: {
        *(
            "moved",
            "acceptance",
            "effective_sample_size",
            "geometry",
            "energy",
            "energy_drawn",
            "nearest_rmsd",
            "verdict",
        ),
        "reasons",
    },
    OptimizationFigures: {"verdict", "reasons"},
    EmbeddingFigures: {"elbo", "rmsd", "pca_rmsd", "in_support", "effective_sample_size", "verdict", "reasons"},
    ComparisonFigures: {"effective_sample_size"},
    MarginalFigures: {"draws", "effective_sample_size"},
    PathFigures: {"crossings"},
    SamplerFigures: {"acceptance", "effective_sample_size"},
    RepresentativeFigures: {"structure"},
    SensitivityFigures: {"effective_sample_size"},
    KineticsFigures: {"committor"},
    CommittorFigures: {"structures"},
}


def name_of(thing: object) -> str:
    """A test's id."""
    return type(thing).__name__ if isinstance(thing, Figures) else str(getattr(thing, "__name__", thing))


def bare(figures: Figures) -> Figures:
    """The same figures without all that may be left out."""
    return replace(figures, **{f.name: None for f in fields(figures) if f.default is None})


def test_every_class_is_tested() -> None:
    """All that the room exports."""
    classes = {getattr(room, name) for name in room.__all__} - {Figures, JudgedFigures, conformation_figures}
    assert classes == set(KEYS) == {type(figures) for figures in EVERY}


@pytest.mark.parametrize("figures", EVERY, ids=name_of)
def test_they_survive_a_file(figures: Figures) -> None:
    """Through the text of JSON and back: the same class, attributes and JSON; so they do without optional ones."""
    for some in (figures, bare(figures)):
        text = json.dumps(some.to_json())
        found = type(figures).from_json(json.loads(text))
        assert type(found) is type(figures) and found == some and json.dumps(found.to_json()) == text
        assert {f.name: getattr(found, f.name) for f in fields(found)} == {
            f.name: getattr(some, f.name) for f in fields(some)
        }


@pytest.mark.parametrize("figures", EVERY, ids=name_of)
def test_the_keys_are_the_contract_s(figures: Figures) -> None:
    """In their order; what may be left out is left out where it is None, and nothing else is."""
    kind, keys = type(figures), KEYS[type(figures)].split()
    assert list(kind.json_keys()) == keys
    assert list(figures.to_json()) == [key for key in keys if key in figures.to_json()]
    assert list(bare(figures)) == [key for key in keys if key not in OPTIONAL.get(kind, set())]


@pytest.mark.parametrize("figures", EVERY, ids=name_of)
def test_they_are_a_mapping(figures: Figures) -> None:
    """As the dictionaries of earlier versions were, but that nobody can change them."""
    plain = figures.to_json()
    assert dict(figures) == plain == {**figures} and figures == plain and plain == figures
    assert list(figures) == list(figures.keys()) == list(plain) and len(figures) == len(plain)
    for key, value in figures.items():
        assert key in figures and figures[key] == figures.get(key) == value
    assert "nonsense" not in figures and figures.get("nonsense", 3) == 3
    with pytest.raises(KeyError):
        figures["nonsense"]
    with pytest.raises(TypeError):
        figures["valid"] = 1  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        setattr(figures, fields(figures)[-1].name, 0)
    assert copy.deepcopy(figures) == figures


@pytest.mark.parametrize("figures", EVERY, ids=name_of)
def test_files_of_other_versions_are_read(figures: Figures) -> None:
    """What they lack is nothing, and does not appear; what this version does not know is left out."""
    kind, plain = type(figures), figures.to_json()
    assert kind.from_json({**plain, "of_a_later_version": [1, {"a": None}]}) == figures
    for key in plain:
        if key in ("verdict", "reasons"):
            continue
        older = {name: value for name, value in plain.items() if name != key}
        assert kind.from_json(older).to_json() == older
    assert kind.from_json({}).to_json() == {} == dict(kind.from_json({}))


def test_what_a_file_lacks_is_nothing() -> None:
    """NaN, zero, False, no text, None, nothing in a list, and NaN for each number of a pair."""
    found = OptimizationFigures.from_json({})
    assert math.isnan(found.optimum) and found.steps == 0 and found.valid is False and found.objective == ""
    assert found.away is None and found.better_rejected == () and all(map(math.isnan, found.bonds))
    assert found.judgement is None and found.verdict is None and found.verdict_lines() == []
    assert ComparisonFigures.from_json({}).backends == {}


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (GenerationFigures, "n", "60"),
        (GenerationFigures, "n", True),
        (GenerationFigures, "sampler", 3),
        (GenerationFigures, "moved", "far"),
        (GenerationFigures, "verdict", "good"),
        (OptimizationFigures, "valid", 1),
        (OptimizationFigures, "quantiles", [1.0]),
        (OptimizationFigures, "quantiles", {"1": 2.0}),
        (OptimizationFigures, "better_rejected", [{"reason": 3}]),
        (OptimizationFigures, "better_rejected", ["contact"]),
        (CandidateFigures, "kl", [1.0]),
        (ComparisonFigures, "backends", {"euclidean": 3}),
    ],
    ids=str,
)
def test_figures_of_another_type_are_refused(kind: type[Figures], key: str, value: Any) -> None:
    """In one line that names the figure and shows what stands there."""
    with pytest.raises(ReadError, match=r"figure '\w+': expected .*, found ") as error:
        kind.from_json({key: value})
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    "reasons",
    [None, 3, ["few"], [{"name": "few"}], [{"name": "a", "severity": 3, "text": "b", "step": "c"}],
     [{"name": "a", "severity": "grave", "text": "b", "step": "c"}]],
    ids=str,
)  # fmt: skip
def test_a_damaged_verdict_is_refused(reasons: Any) -> None:
    """Whatever stands in the place of its reasons."""
    with pytest.raises(ReadError, match="figure 'verdict': expected a verdict with its reasons"):
        EmbeddingFigures.from_json({"frames": 3, "verdict": "good", "reasons": reasons})


def test_numbers_that_json_has_not_are_read() -> None:
    """NaN as Python writes it in files, and null as the command line prints it."""
    for text in ("NaN", "null"):
        assert math.isnan(PathFigures.from_json(json.loads(f'{{"length": {text}}}')).length)


def test_the_verdict_has_its_word_reasons_and_lines() -> None:
    """As attributes, beside the two keys of the JSON."""
    assert GENERATION.verdict == GENERATION["verdict"] == CARE
    assert [vars(reason) for reason in GENERATION.reasons] == GENERATION["reasons"]
    assert GENERATION.verdict_lines() == VERDICT.lines()
    assert replace(GENERATION, judgement=None).reasons == ()


@pytest.mark.parametrize("figures", [GENERATION, OPTIMIZATION, PATH], ids=name_of)
def test_a_file_s_figures_tell_what_made_it(figures: Figures) -> None:
    """The class of the command; conformations that no command made have none."""
    assert type(conformation_figures(figures.to_json())) is type(figures)
    assert type(conformation_figures({})) is Figures and conformation_figures({"mine": 3}) == {}


def test_ends_of_a_path_have_other_names_in_json() -> None:
    """`from` is a word of Python's."""
    assert (PATH.start, PATH.end) == (PATH["from"], PATH["to"]) == ("0", "97")
