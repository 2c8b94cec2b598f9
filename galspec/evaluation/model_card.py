"""The model card of a predictor: its data, its scores overall, per latent and by class, and where it fails."""

from pathlib import Path
from typing import Any, Final

from galspec.core.errors import ConfigError
from galspec.evaluation.realism import report_realism
from galspec.evaluation.table1 import TABLE_FILE, TABLE_PATH
from galspec.inference.predict import MAX_BRIGHT_EDGE, MAX_LATENT, MAX_REDSHIFT
from galspec.models.bundle import read_bundle_info, shipped_predictor_dir
from galspec.training.run_folder import Row

INTENDED_USE: Final = (
    "A first guess of the rest-frame optical spectrum (3388-8310 A, vacuum) of a galaxy from its five Pan-STARRS1 "
    "images: to explore, to rank candidates for spectroscopy, to teach. Comparison of networks on one simulated survey."
)
NOT_FOR: Final = (
    "absolute fluxes (the prediction is F_lambda over its median in 4200-6700 A)",
    "redshifts or error bars, which the model does not give",
    "line widths: a pixel is 269 km/s",
    "stars, quasars, or images of other surveys, bands or pixel scales",
    "decisions about a single galaxy without a spectrum",
)


def make_model_card(bundle: Path | None = None, table_path: Path = TABLE_PATH) -> Row:
    """Collect what is known of a predictor from its bundle and from stored results.

    Parameters
    ----------
    bundle : Path, optional
        Bundle folder, or the run folder that holds it; the shipped hybrid if None.
    table_path : Path
        Table 1, whose rows of the same weights are quoted.

    Returns
    -------
    dict
        ``name``, ``source``, ``architecture``, ``training``, ``intended_use``, ``not_for``, ``scores_of_training``
        (as the bundle says), ``scores`` (of Table 1: overall, per latent, by class; empty if not measured),
        ``known_failures``.

    Raises
    ------
    BundleError
        If the folder is no bundle.
    ConfigError
        If it is not a predictor, or the table is damaged.
    """
    folder = bundle or shipped_predictor_dir()
    info = read_bundle_info(folder / "bundle" if (folder / "bundle").is_dir() else folder)
    if info["kind"] != "predictor":
        raise ConfigError(f"{folder} is a {info['kind']} bundle, but a model card is written of a predictor.")
    scores: Row = {}
    if table_path.is_file():
        table = TABLE_FILE.read(table_path)
        rows = [row for row in table["rows"].values() if row.get("sha256") == info["sha256"]]
        scores = next(({**row["scores"], "data": table["data"]} for row in rows if row["kind"] == "network"), {})
    return {
        "name": info["name"],
        "source": info["training_survey"]["source"],
        "architecture": info["architecture"],
        "trainable_parameters": info["trainable_parameters"],
        "sha256": info["sha256"],
        "vae": {"name": info["vae_name"], "sha256": info["vae_sha256"]},
        "training": {"survey": info["training_survey"], "recipe": info["recipe"]},
        "intended_use": INTENDED_USE,
        "not_for": list(NOT_FOR),
        "scores_of_training": info["scores"],
        "scores": scores,
        "known_failures": _known_failures(info),
    }


def _known_failures(info: Row) -> list[str]:
    survey = info["training_survey"]
    ranges = survey.get("ranges", {})
    words = {"redshift": "redshift {:.3f}-{:.3f}", "mag_r": "r = {:.2f}-{:.2f} mag inside the cutout"}
    limits = [words[name].format(*ranges[name]) for name in words if name in ranges]
    found = [
        f"Trained on {survey['source']} galaxies only: what it says of a real galaxy has not been measured on a real "
        "sample."
        if survey["source"] == "SIMULATED"
        else f"Trained on {survey['source']} galaxies.",
        f"Outside {' and '.join(limits)}, the range of its training, it extrapolates; it warns."
        if limits
        else "The range of its training is not recorded, so it cannot warn outside it.",
        f"Galaxies that fill the cutout (more than {100 * MAX_BRIGHT_EDGE:.0f} % of its border brighter than the sky) "
        "are cut off; it warns.",
        f"A predicted latent beyond {MAX_LATENT:.0f} standard deviations may decode into nonsense; it warns.",
        f"Redshifts outside 0-{MAX_REDSHIFT:g} are refused; bands of which more than 5 % has no data are warned of.",
    ]
    return found + _real_distance(info["sha256"])


def _real_distance(sha256: str) -> list[str]:
    """Say how far real images lie from simulated ones in this network's features, where that was measured."""
    try:
        embedding = report_realism()["stages"][-1]["images"]["embedding"]
    except (ConfigError, LookupError, TypeError):
        return []
    if not isinstance(embedding, dict) or embedding.get("model_sha256") != sha256:
        return []
    limit = embedding["simulated"][-1]
    return [
        f"{name} (REAL) lies {ratio:.0f} times as far from simulated galaxies in the network's features as these from "
        f"each other (99 % of them below {limit:.1f}): take its prediction as a guess."
        for name, ratio in embedding["real"].items()
        if ratio > limit
    ]


def card_markdown(card: Row) -> str:
    """Return a model card as Markdown."""
    survey, recipe = card["training"]["survey"], card["training"]["recipe"]
    told = card["scores_of_training"]
    splits = ", ".join(f"{count:,} {split}" for split, count in survey.get("splits", {}).items())
    lines = [
        f"# Model card: {card['name']}",
        "",
        f"**Trained on {card['source']} galaxies.** Weights {card['sha256'][:12]}, {card['architecture']} with "
        f"{card['trainable_parameters']:,} trainable parameters; predicts the latents of VAE {card['vae']['name']} "
        f"{card['vae']['sha256'][:12]}.",
        "",
        "## Training data",
        "",
        f"Survey {survey['name']} ({card['source']}), data hash {str(survey.get('data_hash', 'not recorded'))[:12]}"
        + (f": {splits}." if splits else "."),
        f"{_known(recipe.get('n_train'))} train galaxies, {_known(told.get('epochs'))} epochs, "
        f"{_known(told.get('passes'))} passes, seed {recipe.get('seed', '(not recorded)')}, "
        f"{recipe.get('device_name') or _known(recipe.get('device'))}, commit {_known(recipe.get('commit'))}, "
        f"{_known(told.get('train_seconds'))} s.",
        "",
        "## Intended use",
        "",
        card["intended_use"],
        "",
        *[f"- Not for {item}." for item in card["not_for"]],
        "",
        "## Scores",
        "",
        *_score_lines(card),
        "",
        "## Known failures",
        "",
        *[f"- {item}" for item in card["known_failures"]],
    ]
    return "\n".join(lines)


def _known(value: Any) -> str:
    if value is None:
        return "(not recorded)"
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)


def _score_lines(card: Row) -> list[str]:
    scores = card["scores"]
    if not scores:
        lines = ["Not measured in Table 1 yet. As its own training measured it:", ""]
        told = card["scores_of_training"]
        found = [f"{split} MSE {told[f'{split}_mse']:.3f}" for split in ("valid", "test") if f"{split}_mse" in told]
        return [*lines, f"- {', '.join(found) or 'nothing is recorded'} of standardised latents, {card['source']}"]
    n_latent = len(next(iter(scores.values()))["mse_per_latent"])
    survey = scores["data"]["survey"]
    header = ["split", "galaxies", "n", "MSE", "RMSE", "R2", *(f"MSE L{index + 1}" for index in range(n_latent))]
    lines = [
        f"Standardised latents, {survey['source']} survey {survey['name']} (data hash {survey['data_hash'][:12]}):",
        "",
        _cells(header),
        _cells(["---"] * len(header)),
    ]
    for split in ("valid", "test"):
        if split not in scores:
            continue
        one = scores[split]
        table = {"all": one, **one.get("by_class", {})}
        for name, row in table.items():
            extra = [f"{row[key]:.3f}" if key in row else "" for key in ("rmse", "r2")]
            latents = [f"{value:.3f}" for value in row.get("mse_per_latent", [])]
            lines.append(_cells([split, name, f"{row['n']:,}", f"{row['mse']:.3f}", *extra, *latents]))
    return lines


def _cells(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
