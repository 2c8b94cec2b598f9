"""Which model the app uses: the shipped one, until a job's bundle is promoted; and the way back."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from galspec.core.errors import JobError
from galspec.core.files import atomic_path, sha256_of, write_json
from galspec.core.home import home_dir, shipped_weights_dir
from galspec.jobs.folder import JobFolder

Row = dict[str, Any]


def models_dir() -> Path:
    """Return the folder of promoted models: ``GALSPEC_HOME/models`` (not created here)."""
    return home_dir() / "models"


def _record_path() -> Path:
    return models_dir() / "app.json"


def read_promotions() -> list[Row]:
    """Return the promotions in force, oldest first; the last one is the app's model. Empty: the shipped model."""
    try:
        content = json.loads(_record_path().read_text(encoding="utf-8"))
        return [dict(entry) for entry in content["promoted"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def promoted_dir() -> Path | None:
    """Return the bundle that was promoted last; None if there is none, or it was deleted."""
    promoted = read_promotions()
    if not promoted:
        return None
    folder = models_dir() / str(promoted[-1]["folder"])
    return folder if models_dir() in folder.parents and (folder / "model.json").is_file() else None


def promote(folder: JobFolder) -> Row:
    """Copy a job's bundle into the workspace's models and make it the app's model.

    Parameters
    ----------
    folder : JobFolder

    Returns
    -------
    dict
        The record: name, folder, sha256, job, settings, data_hash, training_survey, scores, time.

    Raises
    ------
    JobError
        If the job has no bundle of a predictor, or its weights are damaged.
    """
    job = folder.job()
    info = JobFolder(folder.bundle).read("model.json")
    if info is None:
        raise JobError("the job has no model yet: it is written when the training has finished.", "job")
    if "vae_sha256" not in info:
        raise JobError("the app's model is a network that reads images; a VAE cannot take its place.", "job")
    weights = folder.bundle / "weights.safetensors"
    if not weights.is_file() or sha256_of(weights) != info.get("sha256"):
        raise JobError(f"the weights in {folder.bundle} are not those that model.json names; train again.", "job")
    name, vae_name = str(info["name"]), str(info.get("vae_name", ""))
    if not all(one and one == Path(one).name and one != ".." for one in (name, vae_name)):
        raise JobError(f"the bundle's names {name[:60]!r} and {vae_name[:60]!r} cannot be those of folders.", "job")
    target = models_dir() / folder.id / name
    try:
        # The VAE first: where the predictor is, both are, even if copying was cut short before.
        if not target.is_dir():
            _copy_vae(job.settings.get("vae"), vae_name, target.parent)
            with atomic_path(target) as temporary:
                shutil.copytree(folder.bundle, temporary)
        survey = info.get("training_survey", {})
        entry: Row = {
            "name": name,
            "folder": f"{folder.id}/{name}",
            "sha256": info["sha256"],
            "job": folder.id,
            "settings": job.settings,
            "training_survey": survey.get("name"),
            "data_hash": survey.get("data_hash"),
            "scores": {key: info.get("scores", {}).get(key) for key in ("valid_mse", "test_mse", "epochs")},
            "time": time.time(),
        }
        # A model that is promoted again moves to the end.
        others = [other for other in read_promotions() if other["folder"] != entry["folder"]]
        write_json(_record_path(), {"promoted": [*others, entry]})
    except OSError as error:
        raise JobError(f"the model cannot be copied to {target.parent}: {error}.", "folder") from None
    return entry


def _copy_vae(given: Any, name: str, target: Path) -> None:
    """Put the job's own VAE beside its predictor, where the app looks for it; the shipped one is found anyway."""
    source = Path(str(given)) if given else shipped_weights_dir() / name
    if (target / name).is_dir():
        return
    if source != shipped_weights_dir() / name and (source / "model.json").is_file():
        with atomic_path(target / name) as temporary:
            shutil.copytree(source, temporary)


def demote() -> Row | None:
    """Take the last promotion back; return the one that now counts, None for the shipped model.

    Raises
    ------
    JobError
        If nothing is promoted.
    """
    promoted = read_promotions()
    if not promoted:
        raise JobError("nothing is promoted: the app uses the shipped model.", "job")
    write_json(_record_path(), {"promoted": promoted[:-1]})
    return promoted[-2] if len(promoted) > 1 else None
