"""Which surveys and VAEs a training can use: those of the workspace, the app's, the shipped ones."""

import dataclasses
from pathlib import Path
from typing import Final

import streamlit as st

from galspec.core.errors import JobError, SurveyError
from galspec.core.home import home_dir, shipped_weights_dir
from galspec.jobs.folder import all_folders
from galspec.jobs.request import require_survey
from galspec.store.survey import Survey, open_survey
from galspec.ui import address

SURVEY: Final = "train_survey"
VAE: Final = "train_vae"
#: A VAE needs at least so many spectra (`galspec.training.vae_data`).
_FEWEST: Final = {"cnn": (1, 1), "vae": (100, 10)}


def survey_folders(shown: Survey | None) -> list[str]:
    """Return survey folders: of the workspace, and the one the app shows."""
    root = home_dir() / "surveys"
    found = sorted(root.iterdir()) if root.is_dir() else []
    folders = [str(path) for path in found if (path / "survey.json").is_file()]
    if shown is not None:
        folders.append(str(shown.folder.resolve()))
    return list(dict.fromkeys(folders))


def choose_survey(shown: Survey | None) -> str:
    """Draw the choice of a survey; any other folder can be typed."""
    folders = survey_folders(shown)
    typed = st.session_state.get(SURVEY)
    options = [*folders, *([typed] if typed and typed not in folders else [])]
    chosen = st.selectbox(
        "Survey",
        options,
        key=SURVEY,
        accept_new_options=True,
        on_change=address.touch,
        placeholder="Path of a survey folder",
        help=f"Survey folders in {home_dir() / 'surveys'}, the one the app shows, or any path.",
    )
    return str(chosen or "")


def choose_vae() -> str:
    """Draw the choice of the VAE whose latents the network predicts; empty = the shipped one."""
    trained = [
        str(folder.bundle)
        for folder in all_folders()
        if (folder.bundle / "model.json").is_file()
        and (folder.read("job.json") or {}).get("argv", [])[:2] == ["train", "vae"]
    ]
    options = ["", *trained]
    if (given := st.session_state.get(VAE)) and given not in options:
        options.append(given)
    chosen = st.selectbox(
        "VAE whose latents are predicted",
        options,
        format_func=lambda path: Path(path).parent.name if path else f"shipped ({shipped_weights_dir().name}/vae6)",
        key=VAE,
        on_change=address.touch,
    )
    return str(chosen or "")


@dataclasses.dataclass(frozen=True)
class Counts:
    """Galaxies of a survey, and those of its first ones that a training would use.

    Parameters
    ----------
    n, n_train, n_valid : int
    """

    n: int
    n_train: int
    n_valid: int


@st.cache_data(show_spinner=False, max_entries=32)
def _counts(folder: str, max_galaxies: int, stamp: int) -> Counts:  # noqa: ARG001
    split = open_survey(Path(folder)).catalog["split"].to_numpy()
    chosen = split[: max_galaxies or None]
    return Counts(len(split), int((chosen == "train").sum()), int((chosen == "valid").sum()))


def require_trainable(folder: str, max_galaxies: int, what: str) -> Counts:
    """Return how many train and valid galaxies a training would have.

    Raises
    ------
    JobError
        If the folder is no survey or has too few of them; the field is named.
    """
    if not folder:
        raise JobError("choose a survey folder; `New job > Simulate` makes one.", "survey")
    path = require_survey(folder)
    try:
        counts = _counts(str(path), max_galaxies, (path / "survey.json").stat().st_mtime_ns)
    except SurveyError as error:
        raise JobError(str(error), "survey") from None
    least = _FEWEST[what]
    if counts.n_train < least[0] or counts.n_valid < least[1]:
        raise JobError(
            f"{path.name} has {counts.n_train:,} train and {counts.n_valid:,} valid galaxies; at least {least[0]} and "
            f"{least[1]} are needed. The embedded demo survey is held-out galaxies only: simulate a survey first.",
            "survey",
        )
    return counts
