"""From a training set to a predictor bundle: the one function behind `train cnn` and the GPU queue."""

import contextlib
import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from galspec.core.bands import IMAGE_SCALE_NJY
from galspec.core.errors import ConfigError
from galspec.models.bundle import PredictorBundle, VaeBundle, save_predictor_bundle
from galspec.models.catalog import build_network
from galspec.preprocess.cutouts import ImageScaler, sky_noise
from galspec.training.config import CnnConfig
from galspec.training.data import Loader, TrainingSet, make_loader
from galspec.training.distributed import ALONE, Processes
from galspec.training.loop import CnnTraining, data_identity, evaluate, run_training, runtime_facts
from galspec.training.run_folder import Progress, Row, RunFolder
from galspec.training.samples import predict_samples, sample_rows
from galspec.training.statistics import recalibrate_statistics

#: Train galaxies from which the image scaling is fitted: more cost time and move the std by a percent.
_N_SCALER: Final = 1024
_BLOCK: Final = 64


def train_cnn(
    data: TrainingSet,
    vae: VaeBundle,
    config: CnnConfig,
    run_dir: Path,
    progress: Progress | None = None,
    resume: bool = True,
    stop: Callable[[], bool] | None = None,
    device: str | None = None,
    loader: Loader | None = None,
    name: str = "",
    start: PredictorBundle | None = None,
    processes: Processes = ALONE,
    n_samples: int = 0,
) -> Path:
    """Train a network and write its bundle, continuing where an interrupted run of the folder stopped.

    Parameters
    ----------
    data : TrainingSet
        Trained on its train split, judged on its valid split.
    vae : VaeBundle
        Whose standardised latents the targets are; its decoder goes into the bundle.
    config : CnnConfig
    run_dir : Path
        Run folder: config.json, command, metrics.jsonl, log.txt, checkpoint/, exit.json, bundle/.
    progress : callable, optional
        Called with each row of metrics.jsonl.
    resume : bool
        Continue from a checkpoint in the folder; if False, start anew.
    stop : callable, optional
        Asked after each batch; when true, a checkpoint is written and the run ends.
    device : str, optional
        "cpu" or "cuda"; a GPU if there is one, if None.
    loader : HostLoader or DeviceLoader, optional
        Of the same data and device, if several networks share one.
    name : str
        Name of the bundle; the network's name if empty.
    start : PredictorBundle, optional
        Loaded with ``fold=False``: its weights and image scaling are where training begins. The last layer begins
        anew unless the bundle was trained for the same VAE, whose latents it would otherwise not know.
    processes : Processes
        Those that train together, each calling this function; from `galspec.training.distributed.join_processes`.
    n_samples : int
        Valid galaxies whose latents are kept at each epoch, as rows of metrics.jsonl; 0 = none.

    Returns
    -------
    Path
        The bundle's folder.

    Raises
    ------
    RunStopped
        If ``stop`` turned true.
    RunError
        If the loss is not finite, the folder's checkpoint is of another network, data set, version or settings, or
        the GPU's memory does not hold a batch.
    ConfigError
        If ``start`` is another network than the settings name, or it or the loader treats images otherwise.
    """
    if start is not None and loader is not None:
        raise ConfigError("start brings its own image scaling, so it cannot share a loader; give one of the two.")
    if given := start.image_scaler if start else loader.scaler if loader else None:
        _require_treatment(given, config)
    chosen = processes.device(device)
    folder = RunFolder(run_dir, is_writer=processes.is_first)
    if not resume:
        folder.forget()
    processes.wait()  # nobody looks for a checkpoint before the old one is gone
    identity = {**config.identity, **data_identity(data), "vae_sha256": vae.sha256}
    if start is not None:
        identity["start_sha256"] = start.sha256
    folder.require_same_run(identity)
    with folder.exit_record() as facts, _torch_settings(config, chosen):
        runtime = runtime_facts(chosen)
        folder.start({"cnn": dataclasses.asdict(config), "identity": identity, "runtime": runtime})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = build_network(config.model, config.network_options)
        if start is not None:
            start_from(network, start, config.model, vae.sha256, config.network_options)
        if loader is None:
            scaler = start.image_scaler if start else fit_image_scaler(data, config.image_form, config.image_scaling)
            loader = make_loader(data, scaler, chosen)
        training = CnnTraining(network, data, loader, config, chosen, processes)
        watched = sample_rows(data, n_samples)
        after_epoch = functools.partial(predict_samples, training, watched) if len(watched) else None
        run_training(training, folder, identity, progress, stop or (lambda: False), after_epoch)
        facts.update(_ship(training, folder, vae, {**runtime, **_origin(start)}, name or config.model))
    return folder.bundle_dir


def _require_treatment(scaler: ImageScaler, config: CnnConfig) -> None:
    """Refuse images that are treated otherwise than the settings say."""
    if (scaler.form, scaler.scaling) != (config.image_form, config.image_scaling):
        raise ConfigError(
            f"the images given are {scaler.form} and scaled {scaler.scaling}, but image_form is {config.image_form!r} "
            f"and image_scaling {config.image_scaling!r}; make them agree."
        )


def start_from(
    network: nn.Module,
    start: PredictorBundle,
    model: str,
    vae_sha256: str,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Copy the weights of a predictor into a new network; its last layer only if it predicts the same latents.

    Raises
    ------
    ConfigError
        If the predictor is another network than ``model`` with these options.
    """
    if start.info["architecture"] != model:
        raise ConfigError(
            f"the bundle to start from is a {start.info['architecture']}, but a {model} is to be trained; name a "
            f"{model} bundle, or train a {start.info['architecture']}."
        )
    found, wanted = start.info.get("network_args", {}), dict(options or {})
    if found != wanted:
        raise ConfigError(
            f"the network to start from differs from the published one in {found or 'nothing'}, the one to train in "
            f"{wanted or 'nothing'}; make them agree."
        )
    state = start.network.state_dict()
    if start.info["vae_sha256"] != vae_sha256:
        last = list(dict(network.named_children()))[-1]
        state |= {name: value for name, value in network.state_dict().items() if name.startswith(f"{last}.")}
    network.load_state_dict(state)


def _origin(start: PredictorBundle | None) -> Row:
    """Return what the recipe says of the weights that training began with."""
    if start is None:
        return {}
    scores, survey = start.info["scores"], start.info["training_survey"]
    origin = {"name": start.info["name"], "sha256": start.sha256, "training_survey": survey["name"]}
    return {"start": {**origin, "passes": scores.get("passes", 0), "n_train": start.info["recipe"].get("n_train", 0)}}


def fit_image_scaler(data: TrainingSet, form: str = "full", scaling: str = "linear") -> ImageScaler:
    """Fit mean and std per band in nJy on the first galaxies of the train split; NaN counts as sky.

    The softening of arcsinh scaling is the noise of a pixel, and the weights of a grey image are inverse variances.
    """
    rows = data.rows("train")[:_N_SCALER]

    def blocks() -> Iterator[NDArray[np.float32]]:
        for first in range(0, len(rows), _BLOCK):
            images = np.asarray(data.images[rows[first : first + _BLOCK]], np.float32)
            yield images * np.float32(IMAGE_SCALE_NJY)

    if form != "grey" and scaling != "arcsinh":
        return ImageScaler.fit(blocks(), form)
    noise = np.median([sky_noise(block) for block in blocks()], axis=0)
    weights = noise**-2.0 / (noise**-2.0).sum() if form == "grey" else None
    return ImageScaler.fit(blocks(), form, noise if scaling == "arcsinh" else None, weights)


@contextlib.contextmanager
def _torch_settings(config: CnnConfig, device: torch.device) -> Iterator[None]:
    """Set threads and TF32 for the run, and put the old settings back."""
    threads = torch.get_num_threads()
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if config.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = config.tf32
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if device.type == "cuda":
            torch.set_float32_matmul_precision(matmul)
            torch.backends.cudnn.allow_tf32 = convolution


def _ship(training: CnnTraining, folder: RunFolder, vae: VaeBundle, runtime: Row, name: str) -> Row:
    """Choose the weights, measure them once more, write the bundle; return what exit.json says of it."""
    config, at = training.config, training.at
    epochs = [row for row in folder.rows() if row["kind"] == "epoch"]
    training.network.load_state_dict(training.best if config.ship == "best" else training.weights())
    if config.n_recalibration:
        recalibrate_statistics(training, config.n_recalibration)
    valid = evaluate(training, training.valid_rows)
    test_rows = training.data.rows("test")
    test = evaluate(training, test_rows) if len(test_rows) else {}
    if not folder.is_writer:
        training.processes.wait()
        return {}
    scores: Row = {
        "measure": "mean squared error of standardised latents",
        "shipped_weights": config.ship,
        **{f"valid_{name}": value for name, value in valid.items()},
        **{f"test_{name}": value for name, value in test.items()},
        "valid_mse_per_epoch": [row["valid_mse"] for row in epochs],
        "train_mse_per_epoch": [row["train_mse"] for row in epochs],
        "best_epoch_valid_mse": at.best_mse if math.isfinite(at.best_mse) else None,
        "best_epoch": at.best_epoch + 1,
        "epochs": at.epoch,
        "passes": at.n_passes,
        "train_seconds": round(at.seconds, 1),
    }
    recipe: Row = {
        **dataclasses.asdict(config),
        "max_lr": config.peak_lr,
        "n_processes": training.processes.n,
        "n_train": len(training.train_rows),
        **runtime,
    }
    save_predictor_bundle(
        folder.bundle_dir,
        network=training.network,
        architecture=config.model,
        vae=vae,
        image_scaler=training.loader.scaler,
        name=name,
        training_survey=training.data.survey,
        recipe=recipe,
        scores=scores,
        network_options=config.network_options,
    )
    training.processes.wait()  # the bundle is there when any process returns
    folder.log("bundle", json.dumps(scores))
    return {"scores": scores}
