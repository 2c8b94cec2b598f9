"""How long a training will take and how much memory: a few steps on made-up data of the right shape, timed."""

import dataclasses
import math
import resource
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from galspec.core.bands import CUTOUT_SHAPE
from galspec.models.catalog import build_network
from galspec.models.vae import N_LATENT
from galspec.preprocess.cutouts import ImageScaler
from galspec.store.survey import Survey
from galspec.training.config import CnnConfig
from galspec.training.data import TrainingSet, make_loader, plan_epoch, plan_in_order
from galspec.training.loop import CnnTraining
from galspec.training.run_folder import Row
from galspec.training.vae import VaeTraining
from galspec.training.vae_data import PreparedSpectra, VaeConfig

#: Steps that are timed at least, however long they take.
_MIN_STEPS: Final = 2


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a training will need.

    Parameters
    ----------
    seconds, low, high : float
        Best guess and a range of two standard errors of the steps timed; images that must be read or rendered,
        and a machine that others use, come on top.
    memory_gb : float
        Peak of the process, or of the GPU.
    n_steps : int
        Steps timed.
    step_s : float
        Mean time of a step, seconds.
    n_train, n_valid : int
    device : str
    """

    seconds: float
    low: float
    high: float
    memory_gb: float
    n_steps: int
    step_s: float
    n_train: int
    n_valid: int
    device: str

    def to_dict(self) -> Row:
        """Return the estimate as JSON, in three digits."""
        values = dataclasses.asdict(self)
        return {key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in values.items()}


def count_split(survey: Survey, max_galaxies: int) -> tuple[int, int]:
    """Return the numbers of train and valid galaxies among the first ones of a survey; 0 = all."""
    split = survey.catalog["split"].to_numpy()[: max_galaxies or None]
    return int((split == "train").sum()), int((split == "valid").sum())


def timed_steps(step: Callable[[], Any], seconds: float) -> list[float]:
    """Return the times of steps until so many seconds have gone, after one step that is not counted.

    Parameters
    ----------
    step : callable
        Does one step and waits for it.
    seconds : float
        At least two steps are timed, even if they take longer.
    """
    step()
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < _MIN_STEPS or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return times


def total_of(times: list[float], n_steps: int, rest_s: float) -> tuple[float, float, float]:
    """Return time in all with a range of two standard errors, from the times of some steps.

    Examples
    --------
    >>> total_of([1.0, 1.0], 10, 5.0)
    (15.0, 15.0, 15.0)
    """
    mean = float(np.mean(times))
    error = 2.0 * float(np.std(times, ddof=1)) / math.sqrt(len(times))
    return mean * n_steps + rest_s, max(mean - error, 0.0) * n_steps + rest_s, (mean + error) * n_steps + rest_s


def estimate_cnn(
    config: CnnConfig, n_train: int, n_valid: int, device: str | None = None, seconds: float = 10.0
) -> Estimate:
    """Time steps of a network on noise.

    Parameters
    ----------
    config : CnnConfig
    n_train, n_valid : int
        Galaxies of the training that is asked about.
    device : str, optional
        "cpu" or "cuda"; a GPU if there is one, if None.
    seconds : float
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    rng = np.random.default_rng(0)
    n = 2 * config.batch_size
    images = rng.standard_normal((n, *CUTOUT_SHAPE), np.float32).astype(np.float16)
    data = TrainingSet(
        images=images,
        latents=rng.standard_normal((n, N_LATENT), np.float32),
        split=np.array(["train"] * config.batch_size + ["valid"] * config.batch_size),
        ids=np.arange(n).astype(str),
    )
    noise = np.ones(5) if config.image_scaling == "arcsinh" else None
    weights = np.full(5, 0.2) if config.image_form == "grey" else None
    scaler = ImageScaler.fit([images[:64].astype(np.float32)], config.image_form, noise, weights)
    loader = make_loader(data, scaler, chosen)
    training = CnnTraining(build_network(config.model, config.network_options), data, loader, config, chosen)
    plan = plan_epoch(training.train_rows, config.batch_size, 0, 0, config.is_augmented)[:1]

    def step() -> None:
        for batch in training.batches(plan):
            float(training.train_batch(batch.images, batch.targets))  # waits for the device

    @torch.no_grad()
    def validate() -> None:
        training.network.eval()
        for batch in training.batches(plan_in_order(training.valid_rows, config.batch_size)):
            training.predict(batch.images).sum().item()
        training.network.train()

    training.network.train()
    times = timed_steps(step, 0.8 * seconds)
    valid_s = float(np.mean(timed_steps(validate, 0.2 * seconds)))
    n_steps = config.n_epochs * max(1, n_train // config.batch_size)
    rest = (config.n_epochs + 1) * valid_s * n_valid / config.batch_size
    return _estimate(times, n_steps, rest, n_train, n_valid, chosen)


def estimate_vae(config: VaeConfig, n_train: int, n_valid: int, seconds: float = 10.0) -> Estimate:
    """Time steps of the VAE on noise; if it may stop early, the estimate is the longest time."""
    generator = torch.Generator().manual_seed(0)
    spectra = torch.randn((config.batch_size, 1000), generator=generator)
    prepared = object.__new__(PreparedSpectra)  # made-up spectra need no preprocessing
    prepared.train_x, prepared.train_weight = 0.01 * spectra, torch.ones_like(spectra)
    prepared.train_error = torch.ones_like(spectra)
    prepared.valid_x, prepared.valid_weight = prepared.train_x, prepared.train_weight
    training = VaeTraining(config)
    times = timed_steps(lambda: training.train_epoch(prepared), 0.8 * seconds)
    valid_s = float(np.mean(timed_steps(lambda: training.validate(prepared), 0.2 * seconds)))
    rest = config.n_epochs * valid_s * n_valid / config.batch_size
    n_steps = config.n_epochs * math.ceil(n_train / config.batch_size)
    return _estimate(times, n_steps, rest, n_train, n_valid, torch.device("cpu"))


def _estimate(
    times: list[float], n_steps: int, rest_s: float, n_train: int, n_valid: int, device: torch.device
) -> Estimate:
    total, low, high = total_of(times, n_steps, rest_s)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device) / 1e9
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return Estimate(total, low, high, memory, len(times), float(np.mean(times)), n_train, n_valid, device.type)
