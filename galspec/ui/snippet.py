"""Python code that makes what a page shows, with exact ids and checksums."""

from pathlib import Path
from typing import Any

from galspec.core.home import demo_survey_dir, shipped_weights_dir
from galspec.store.survey import Survey
from galspec.ui.model_card import ModelCard


def python_snippet(survey: Survey, values: dict[str, Any], card: ModelCard | None) -> str:
    """Return a script that reads the galaxy's spectrum and, with a model, predicts it from its image.

    Parameters
    ----------
    survey : Survey
    values : dict
        The galaxy's row of the catalogue.
    card : ModelCard or None
        The predictor in use.
    """
    galaxy_id = str(values["id"])
    is_demo = Path(survey.folder).resolve() == demo_survey_dir().resolve()
    is_shipped = card is not None and card.folder.resolve().parent == shipped_weights_dir().resolve()
    homes = [name for name, is_used in (("demo_survey_dir", is_demo), ("shipped_weights_dir", is_shipped)) if is_used]
    imports = [f"from galspec.core.home import {', '.join(homes)}"] if homes else []
    imports += ["from galspec.inference.predict import predict_cutout"] if card else []
    imports += ["from galspec.models.bundle import load_predictor_bundle"] if card else []
    imports += ["from galspec.store.survey import open_survey"]
    folder = "demo_survey_dir()" if is_demo else repr(str(Path(survey.folder).resolve()))
    lines = [
        *imports,
        "",
        f"survey = open_survey({folder})  # {survey.source}",
        f"galaxy_id = {galaxy_id!r}",
        "observed = survey.spectrum(galaxy_id)  # flux and ivar on the rest-frame grid",
    ]
    if card is not None:
        bundle = (
            f"shipped_weights_dir() / {card.folder.name!r}" if is_shipped else f"Path({str(card.folder.resolve())!r})"
        )
        if not is_shipped:
            lines.insert(0, "from pathlib import Path\n")
        lines += [
            "",
            f"model = load_predictor_bundle({bundle})",
            f"assert model.sha256 == {card.sha256!r}",
            "predicted = predict_cutout(model, survey.cutout(galaxy_id))",
            "wave, flux = predicted.wave_rest, predicted.flux  # vacuum angstrom; F_lambda / median(4200-6700)",
        ]
    return "\n".join(lines)
