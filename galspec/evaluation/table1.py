"""Table 1 of Wu & Peek (2020) on a survey: every network, baseline and ablation on the same held-out galaxies.

The valid split is what training and its choices look at, as in the paper. The test split is read by this final
evaluation alone, and only where ``with_test`` (``--test``) says so: measure on it what is to be reported, then change
nothing because of it. Scores go into one JSON file, the signed errors of every galaxy into small files beside it, so
that any two networks can be compared galaxy by galaxy later.
"""

import dataclasses
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import ConfigError
from galspec.core.home import REPOSITORY_DIR
from galspec.core.provenance import git_commit
from galspec.evaluation.baselines import BASELINES, ORACLES, predict_baselines, score_oracles
from galspec.evaluation.degraded_images import MEANING, ablation
from galspec.evaluation.held_out import HeldOut, Measure, measure_images, read_split, require_same_galaxies
from galspec.evaluation.paired import save_errors
from galspec.evaluation.spectrum_space import SpectrumModel, score_spectra
from galspec.evaluation.stored import RESULTS_DIR, StoredFile, run_facts
from galspec.evaluation.table1_rows import epoch_scores, quoted_scores, score_errors, training_facts
from galspec.models.bundle import PredictorBundle, VaeBundle, load_predictor_bundle
from galspec.models.latents import LatentDecoder
from galspec.models.vae import DEFAULT_SOFTENING
from galspec.store.survey import Survey
from galspec.training.compressors import ComparisonConfig
from galspec.training.config import load_config
from galspec.training.data import ImageArray
from galspec.training.run_folder import Row, RunFolder

Floats = NDArray[np.float64]

TABLE_PATH: Final = RESULTS_DIR / "table1.json"
TABLE_FILE: Final = StoredFile(
    "Table 1", "`python -m galspec table1 --survey DIR --add RUN_OR_BUNDLE --baselines --test`", "galspec-table1"
)
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
_PCA_CONFIG: Final = REPOSITORY_DIR / "configs" / "vae_comparison.toml"


@dataclasses.dataclass(frozen=True)
class Source:
    """One network to measure, or to quote.

    Parameters
    ----------
    label : str
        Name of its row.
    info : mapping
        Content of model.json, or an entry of the GPU queue's results.
    data_match : str
        How its training galaxies are known to be the survey's.
    predictor : PredictorBundle or None
        None if its weights were not kept: its scores are then quoted.
    metrics : list of dict
        Rows of metrics.jsonl; empty for a bundle alone.
    """

    label: str
    info: Mapping[str, Any]
    data_match: str
    predictor: PredictorBundle | None = None
    metrics: list[Row] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Held-out galaxies, their images, and the file that the rows go into.

    Parameters
    ----------
    survey : Survey
    vae : VaeBundle
        Of whose latents all rows are.
    images : ImageArray
        Stored images of all galaxies of the survey.
    galaxies : dict of str to HeldOut
        By split; see `read_galaxies`.
    path : Path
        JSON file; errors go into a folder of the same name beside it.
    """

    survey: Survey
    vae: VaeBundle
    images: ImageArray
    galaxies: dict[str, HeldOut]
    path: Path = TABLE_PATH

    def __post_init__(self) -> None:
        self.read_table()

    def read_table(self) -> Row:
        """Return the table so far.

        Raises
        ------
        ConfigError
            If it is of another survey, VAE or set of galaxies.
        """
        data = {
            "survey": {
                "name": self.survey.name,
                "source": self.survey.source,
                "data_hash": self.survey.data_hash,
                "n_galaxies": len(self.survey),
            },
            "vae": {"name": self.vae.info["name"], "sha256": self.vae.sha256},
        }
        table = TABLE_FILE.read_or_start(
            self.path,
            measure="mean squared error of standardised latents; intervals hold 68 % of resampled galaxies",
            data={**data, "galaxies": {}},
            rows={},
        )
        identities = {split: held.identity for split, held in self.galaxies.items()}
        old = table["data"]
        differing = [name for name in data if old[name] != data[name]]
        differing += [f"{s} galaxies" for s, one in identities.items() if old["galaxies"].get(s, one) != one]
        if differing:
            raise ConfigError(
                f"{self.path} holds rows of another {', '.join(differing)}: rows of one table are measured on the same "
                "galaxies. Choose another --out, or move the file away and measure all rows anew."
            )
        old["galaxies"] |= identities
        return table

    @property
    def softening(self) -> float:
        """Softening of the softened chi squared: that of the VAE's training."""
        return float(self.vae.info["recipe"].get("softening", DEFAULT_SOFTENING))

    @property
    def n_images(self) -> int:
        """Images that one pass over the held-out galaxies reads."""
        return sum(map(len, self.galaxies.values()))


def read_galaxies(survey: Survey, vae: VaeBundle, with_test: bool, n_max: int = 0) -> dict[str, HeldOut]:
    """Read the valid split, and the test split only ``with_test``; ``n_max`` galaxies of each at most (0 = all)."""
    splits = ("valid", "test") if with_test else ("valid",)
    return {split: read_split(survey, vae, split, n_max) for split in splits}


def read_sources(path: Path, survey: Survey, vae: VaeBundle, label: str = "") -> list[Source]:
    """Open a predictor bundle, a run folder of `train cnn`, or the JSON of the GPU queue's finished items.

    Parameters
    ----------
    path : Path
    survey : Survey
        The network must have been trained on its train split.
    vae : VaeBundle
        Whose latents the network must predict.
    label : str
        Name of the row. If empty: the bundle's name, or network-epochs-seed where that says the network only.

    Raises
    ------
    BundleError
        If there is no such bundle, or it is of another VAE.
    ConfigError
        If it was trained on other galaxies, or the label or JSON is no good.
    """
    if path.is_file():
        return _queue_items(path, survey, vae)
    inside = path / "bundle"
    predictor = load_predictor_bundle(inside if inside.is_dir() else path, vae)
    metrics = RunFolder(path).rows() if (path / "metrics.jsonl").is_file() else []
    label = label or _default_label(predictor.info)
    if not _LABEL.fullmatch(label):
        raise ConfigError(f"{label!r} is no name of a row; use letters, digits, '.', '_', '+' and '-'.")
    return [Source(label, predictor.info, require_same_galaxies(predictor.info, survey), predictor, metrics)]


def _default_label(info: Mapping[str, Any]) -> str:
    recipe = info["recipe"]
    if info["name"] != info["architecture"] or "n_epochs" not in recipe:
        return str(info["name"])
    return f"{info['name']}-{recipe['n_epochs']}-s{recipe.get('seed')}"


def _queue_items(path: Path, survey: Survey, vae: VaeBundle) -> list[Source]:
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
        other = [name for name, info in items.items() if info["vae_sha256"] != vae.sha256]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} does not list finished items of the GPU queue ({error!r}); name a bundle, a run folder or "
            "benchmarks/results/gpu_queue.json."
        ) from None
    if other:
        raise ConfigError(f"items {', '.join(other)} of {path} predict the latents of another VAE than the one given.")
    return [Source(name, info, require_same_galaxies({"name": name, **info}, survey)) for name, info in items.items()]


def require_replaceable(
    table: Row, labels: Mapping[str, str | None], splits: Sequence[str], replace: bool = False
) -> None:
    """Refuse to overwrite a row of another network, or one with a test score by one without.

    Parameters
    ----------
    table : dict
    labels : mapping of str to str or None
        Label of each new row -> SHA-256 of the weights; None for rows without weights.
    splits : sequence of str
        That are measured now.
    replace : bool
        Allow it all the same.

    Raises
    ------
    ConfigError
        If a row would be lost.
    """
    for label, sha256 in labels.items():
        old = table["rows"].get(label)
        if old is None or replace:
            continue
        if old.get("sha256") != sha256:
            raise ConfigError(
                f"row {label!r} holds other weights ({str(old.get('sha256'))[:12]}, now {str(sha256)[:12]}); name the "
                "new row with --label, or pass --replace."
            )
        if "test" in old["scores"] and "test" not in splits:
            raise ConfigError(f"row {label!r} was measured on the test split too; pass --test again, or --replace.")


def add_networks(
    evaluation: Evaluation,
    sources: Sequence[Source],
    ablations: Sequence[str] = (),
    *,
    replace: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Row:
    """Measure networks, and the same under ablations at evaluation time, in one pass over the images.

    Parameters
    ----------
    evaluation : Evaluation
    sources : sequence of Source
    ablations : sequence of str
        Of `galspec.evaluation.degraded_images.ABLATIONS`; each adds a row "label+ablation" to every network.
    replace : bool
        Overwrite rows of other weights.
    progress : callable, optional
        Called with the number of galaxies done.

    Returns
    -------
    dict
        The whole table, stored.

    Raises
    ------
    ConfigError
        If two rows have one name, a row would be lost, or a prediction is not finite.
    """
    named = {source.label: source for source in sources}
    if len(named) != len(sources):
        raise ConfigError(f"two networks would share a row: {', '.join(s.label for s in sources)}; add them apart.")
    table = evaluation.read_table()
    kept = {name: source for name, source in named.items() if source.predictor is not None}
    origin = {name: (source, "") for name, source in kept.items()}
    origin |= {f"{name}+{one}": (source, one) for name, source in kept.items() for one in ablations}
    labels = {name: source.info["sha256"] for name, source in named.items()}
    labels |= {name: source.info["sha256"] for name, (source, _) in origin.items()}
    require_replaceable(table, labels, list(evaluation.galaxies), replace)
    started = time.monotonic()
    measures = {name: _predict(source, one) for name, (source, one) in origin.items()}
    predicted = _predict_splits(evaluation, measures, progress) if measures else {}
    facts = {"commit": git_commit(), "device": "cpu"}
    for name, (source, one) in origin.items():
        content = _measured(evaluation, name, predicted[name], source.predictor)
        facts |= run_facts(time.monotonic() - started)
        table["rows"][name] = {**_describe(source, one), "evaluated": dict(facts), **content}
    for name, source in named.items():
        if source.predictor is None and not _has_measured_row(table, name, source):
            scores = {split: quoted_scores(source.info, split) for split in evaluation.galaxies}
            quoted = {split: found for split, found in scores.items() if found is not None}
            table["rows"][name] = {**_describe(source, ""), "evaluated": None, "scores": quoted}
    TABLE_FILE.write(evaluation.path, table)
    return table


def _has_measured_row(table: Row, name: str, source: Source) -> bool:
    old = table["rows"].get(name)
    return bool(old and old["evaluated"] and old["sha256"] == source.info["sha256"])


def _predict(source: Source, one: str) -> Measure:
    if source.predictor is None:
        raise ConfigError(f"the weights of {source.label!r} were not kept, so it cannot be measured.")
    return ablation(one, source.predictor) if one else source.predictor.predict_latents


def _predict_splits(
    evaluation: Evaluation, measures: Mapping[str, Measure], progress: Callable[[int], None] | None
) -> dict[str, dict[str, Floats]]:
    found: dict[str, dict[str, Floats]] = {name: {} for name in measures}
    before = 0
    for split, held in evaluation.galaxies.items():
        show = None if progress is None else lambda done, before=before: progress(before + done)
        for name, latents in measure_images(evaluation.images, held.rows, measures, show).items():
            found[name][split] = latents
        before += len(held)
    return found


def _describe(source: Source, one: str) -> Row:
    return {
        "kind": "ablation" if one else "network",
        "network": source.info["architecture"],
        "name": source.info.get("name", source.label),
        "sha256": source.info["sha256"],
        **({"ablation": one, "of": source.label, "sees": MEANING[one]} if one else {}),
        "training": training_facts(source.info, source.data_match),
        "epochs": epoch_scores(source.info, source.metrics),
    }


def _measured(
    evaluation: Evaluation, label: str, predicted: Mapping[str, Floats], predictor: PredictorBundle | None
) -> Row:
    """Store the errors of a row; return where they lie, the scores and, with a decoder, those of the spectra."""
    galaxies = evaluation.galaxies
    errors = {split: predicted[split] - held.latents for split, held in galaxies.items()}
    errors_path = evaluation.path.with_suffix("") / f"{label}.npz"
    save_errors(errors_path, errors, {split: held.sha256 for split, held in galaxies.items()})
    content: Row = {
        "errors": f"{errors_path.parent.name}/{errors_path.name}",
        "scores": {split: score_errors(errors[split], held) for split, held in galaxies.items()},
    }
    decoder = predictor.decoder if predictor else evaluation.vae.decoder
    content["spectra"] = {
        split: score_spectra(
            evaluation.survey, held, {label: _decoded(decoder, predicted[split])}, evaluation.softening
        )[label]
        for split, held in galaxies.items()
    }
    return content


def _decoded(decoder: LatentDecoder, latents: Floats) -> SpectrumModel:
    return lambda where, _flux, _ivar: decoder.decode(latents[where])


def add_baselines(
    evaluation: Evaluation,
    n_train: int = 0,
    seed: int = 12345,
    config: ComparisonConfig | None = None,
    progress: Callable[[int], None] | None = None,
) -> Row:
    """Measure the baselines and oracles of `galspec.evaluation.baselines` and store the table.

    Parameters
    ----------
    evaluation : Evaluation
    n_train : int
        Train galaxies of the baselines, the first ones; 0 means all.
    seed : int
        Of the trees.
    config : ComparisonConfig, optional
        How the components of the PCA oracle are fitted; configs/vae_comparison.toml if None.
    progress : callable, optional
        Called with the number of images measured.

    Returns
    -------
    dict
        The whole table.

    Raises
    ------
    ConfigError, SurveyError
        As `predict_baselines`; or if rows with a test score would be replaced by rows without.
    """
    table = evaluation.read_table()
    splits = list(evaluation.galaxies)
    require_replaceable(table, dict.fromkeys([*BASELINES, *ORACLES]), splits)
    config = config or load_config(ComparisonConfig, _PCA_CONFIG, "comparison")
    started = time.monotonic()
    survey, vae, galaxies = evaluation.survey, evaluation.vae, evaluation.galaxies
    predicted, settings = predict_baselines(survey, vae, evaluation.images, galaxies, n_train, seed, progress)
    oracles = score_oracles(survey, vae, galaxies, config, evaluation.softening)
    facts = {"commit": git_commit(), "device": "cpu", **run_facts(time.monotonic() - started)}
    for name, sees in BASELINES.items():
        content = _measured(evaluation, name, predicted[name], None)
        told = {"kind": "baseline", "sees": sees, "training": settings, "evaluated": facts}
        table["rows"][name] = {**told, **content}
    for name, sees in ORACLES.items():
        told = {"kind": "oracle", "sees": sees, "training": {"n_train": config.n_train}, "evaluated": facts}
        latent = {split: {"mse": 0.0, "n": len(held)} for split, held in galaxies.items()}
        scores = latent if name == "vae-oracle" else {split: {"n": len(held)} for split, held in galaxies.items()}
        table["rows"][name] = {**told, "scores": scores, "spectra": oracles[name]}
    TABLE_FILE.write(evaluation.path, table)
    return table
