"""The app's models: loaded once per server, in the background while the reader looks at the first page."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from galspec.core.bands import CUTOUT_SHAPE
from galspec.core.errors import BundleError, GalspecError
from galspec.ui.model_card import ModelCard, model_dir, read_model_card

if TYPE_CHECKING:
    from galspec.models.bundle import PredictorBundle, VaeBundle
    from galspec.store.survey import Survey

_WARM_UP_DELAY_S: Final = 1.5
_SETTLE_AGAIN_S: Final = 10.0
_LOCK = threading.RLock()
_LOADED: dict[tuple[str, int], Models] = {}
_WARMING = threading.Event()


@dataclasses.dataclass(frozen=True)
class Models:
    """A predictor with its VAE, or why one is missing.

    Parameters
    ----------
    card : ModelCard or None
    predictor : PredictorBundle or None
    vae : VaeBundle or None
    problems : tuple of str
        One sentence for each missing part.
    """

    card: ModelCard | None = None
    predictor: PredictorBundle | None = None
    vae: VaeBundle | None = None
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Identity of what is loaded, for caches."""
        return f"{self.card.sha256 if self.predictor and self.card else ''}:{self.vae.sha256 if self.vae else ''}"


def load_models() -> Models:
    """Return the models of this server; torch is imported and the bundles are read on the first call."""
    folder = model_dir()
    path = folder / "model.json"
    key = (str(folder), path.stat().st_mtime_ns if path.is_file() else 0)
    with _LOCK:
        if key not in _LOADED:
            _LOADED.clear()
            _LOADED[key] = _load(folder)
        return _LOADED[key]


def _load(folder: Path) -> Models:
    import torch

    from galspec.core.home import shipped_weights_dir
    from galspec.models.bundle import load_predictor_bundle, load_vae_bundle

    # One image takes 33 ms with one thread, 21 ms with two; but on a busy machine, or with two readers,
    # threads that wait for each other cost seconds.
    torch.set_num_threads(1)
    problems: list[str] = []
    card, predictor, vae = None, None, None
    try:
        card = read_model_card(folder)
        predictor = load_predictor_bundle(folder)
    except BundleError as error:
        problems.append(str(error))
    candidates = card.vae_folders() if card else [shipped_weights_dir() / "vae6"]
    vae_folder = next((path for path in candidates if (path / "model.json").is_file()), None)
    if vae_folder is None:
        wanted = f"VAE {card.vae_name!r} of this model" if card else "shipped VAE"
        problems.append(f"the {wanted} was not found, so there is no reconstruction to compare with.")
    else:
        try:
            vae = load_vae_bundle(vae_folder)
            if card is not None and vae.sha256 != card.vae_sha256:
                problems.append(
                    f"predictor {card.name!r} belongs to VAE {card.vae_sha256[:12]}..., but {vae_folder.name} is "
                    f"{vae.sha256[:12]}...; the prediction is shown alone."
                )
                vae = None
        except BundleError as error:
            problems.append(str(error))
    return Models(card, predictor, vae, tuple(problems))


def is_loaded() -> bool:
    """Return True if `load_models` will return at once."""
    return bool(_LOADED)


def warm_up(survey: Survey) -> None:
    """Start loading what the Galaxy page needs in the background, once per server and only under a running server."""
    from streamlit import runtime

    if _WARMING.is_set() or is_loaded() or not runtime.exists():
        return
    _WARMING.set()
    # The delay leaves the first page's files to the browser before torch's import takes the interpreter.
    timer = threading.Timer(_WARM_UP_DELAY_S, _warm_up, args=(survey,))
    timer.daemon = True
    timer.start()


def _warm_up(survey: Survey) -> None:
    import numpy as np

    # Its imports (Plotly, astropy) and the renderer's transforms are the rest of a slow first galaxy.
    import galspec.ui.galaxy
    import galspec.ui.galaxy_panels
    import galspec.ui.galaxy_plot  # noqa: F401
    from galspec.ui.images import composite_image

    models = load_models()
    image = np.zeros(CUTOUT_SHAPE, np.float32)
    with contextlib.suppress(GalspecError):  # the page will say it
        image = survey.cutout(0)
    if models.predictor is not None:
        models.predictor.predict_latents(image[None])
    composite_image(image)
    _settle()
    # A page that was drawn meanwhile left its tables among what was settled: once more when it is gone.
    timer = threading.Timer(_SETTLE_AGAIN_S, _settle)
    timer.daemon = True
    timer.start()


def _settle() -> None:
    """Take what was loaded out of garbage collection, which Streamlit runs after every run of a page.

    It stays until the server ends; searching it costs a run 0.16 s (benchmarks/bench_start.py).
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
