"""What a page says about the model, read from model.json alone: no torch."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from galspec.core.errors import BundleError
from galspec.core.home import demo_survey_dir, shipped_weights_dir
from galspec.jobs.promote import promoted_dir


def survey_dir() -> Path:
    """Return the survey that the app shows: ``$GALSPEC_SURVEY``, else the embedded demo survey."""
    return Path(os.environ.get("GALSPEC_SURVEY") or demo_survey_dir()).expanduser()


def model_dir() -> Path:
    """Return the predictor that the app uses: ``$GALSPEC_MODEL``, else the promoted one, else the shipped hybrid."""
    given = os.environ.get("GALSPEC_MODEL") or promoted_dir() or shipped_weights_dir() / "xresnet18-hybrid"
    return Path(given).expanduser()


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """Identity of a predictor bundle.

    Parameters
    ----------
    folder : Path
    name : str
    sha256 : str
        Of its weights.
    trained_on : str
        SIMULATED or REAL.
    training_survey : str
    vae_name, vae_sha256 : str
        The VAE whose latents it predicts.
    """

    folder: Path
    name: str
    sha256: str
    trained_on: str
    training_survey: str
    vae_name: str
    vae_sha256: str

    @property
    def short(self) -> str:
        """Name and the first eight characters of the checksum."""
        return f"{self.name} {self.sha256[:8]}"

    def vae_folders(self) -> list[Path]:
        """Return where its VAE may lie: beside it, else among the shipped ones."""
        folders = [self.folder.parent / self.vae_name, shipped_weights_dir() / self.vae_name]
        return list(dict.fromkeys(folders))


def read_model_card(folder: Path) -> ModelCard:
    """Read the identity of a predictor.

    Raises
    ------
    BundleError
        If the folder holds no readable model.json of a predictor.
    """
    path = folder / "model.json"
    if not path.is_file():
        raise BundleError(f"there is no model in {folder}: it holds no model.json. Observed spectra are still shown.")
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return ModelCard(
            folder=folder,
            name=str(info["name"]),
            sha256=str(info["sha256"]),
            trained_on=str(info["training_survey"]["source"]),
            training_survey=str(info["training_survey"]["name"]),
            vae_name=str(info["vae_name"]),
            vae_sha256=str(info["vae_sha256"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} does not describe a predictor ({error!r}); restore the bundle.") from None
