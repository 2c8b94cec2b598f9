"""A queue of trainings on a GPU that is at hand only now and then, or on a CPU: most valuable first, resumable by item.

Runs with torch, numpy, scipy, pandas, pyarrow and safetensors alone. Finished items become
bundle folders of two files (below 16 MiB) and entries in a JSON file that is kept in the
repository. A checkpoint of a large network has 110 MB, too much to bring home from a lent
machine: an item that was not finished there starts again on the next one.
"""

import dataclasses
import json
import math
import shutil
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from galspec.core.errors import ConfigError
from galspec.core.files import write_json
from galspec.core.home import REPOSITORY_DIR
from galspec.models.bundle import VaeBundle, load_vae_bundle, read_bundle_info, shipped_vae_dir
from galspec.models.catalog import build_network
from galspec.training.cnn import fit_image_scaler, train_cnn
from galspec.training.config import CnnConfig, config_from_table
from galspec.training.data import Loader, TrainingSet, make_loader, plan_epoch
from galspec.training.loop import CnnTraining
from galspec.training.queue_survey import QueueSurvey, load_training_set, make_survey
from galspec.training.run_folder import Row

DEFAULT_PLAN: Final = REPOSITORY_DIR / "configs" / "gpu_queue.toml"
DEFAULT_OUT: Final = REPOSITORY_DIR / "weights_queue"
RESULTS: Final = REPOSITORY_DIR / "benchmarks" / "results" / "gpu_queue.json"
#: What may come home from a lent machine at once: 8 files of 16 MiB, one of them the results file.
MAX_BUNDLES_A_CALL: Final = 3
MAX_FILE_BYTES: Final = 16 * 2**20
#: Batches of a speed trial, after as many to warm up.
_TRIAL_BATCHES: Final = 25

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class QueueItem:
    """One training of the queue.

    Parameters
    ----------
    name : str
    config : CnnConfig
    passes : int
        Images to train on in all, rounded up to whole epochs, instead of ``config.n_epochs``; 0 = not given.
    """

    name: str
    config: CnnConfig
    passes: int = 0

    def config_for(self, n_train: int) -> CnnConfig:
        """Return the settings with the epochs that ``passes`` makes of a train split."""
        if not self.passes:
            return self.config
        return dataclasses.replace(self.config, n_epochs=max(1, math.ceil(self.passes / n_train)))


@dataclasses.dataclass(frozen=True)
class QueuePlan:
    """What to train, on which simulated survey, most valuable first."""

    survey: QueueSurvey
    items: tuple[QueueItem, ...]


def load_plan(path: Path = DEFAULT_PLAN) -> QueuePlan:
    """Read a plan: tables [survey], [common] and [[item]].

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, an item has no name or one twice, has both n_epochs and passes, or a
        setting is wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the queue's plan {path}: {error}") from None
    if unknown := sorted(content.keys() - {"survey", "common", "item"}):
        raise ConfigError(f"{path}: unknown table(s) {', '.join(unknown)}; known are survey, common, item.")
    items: list[QueueItem] = []
    for table in content.get("item", []):
        settings = {**content.get("common", {}), **table}
        name = str(settings.pop("name", ""))
        if not name or name in {item.name for item in items}:
            raise ConfigError(f"{path}: every [[item]] needs a name of its own, but one has {name!r}.")
        passes = settings.pop("passes", 0)
        if type(passes) is not int or passes < 0 or (passes and "n_epochs" in settings):
            raise ConfigError(
                f"{path} item {name}: passes = {passes!r} must be a positive number, and in place of n_epochs."
            )
        items.append(QueueItem(name, config_from_table(CnnConfig, settings, f"{path} item {name}"), passes))
    return QueuePlan(config_from_table(QueueSurvey, content.get("survey", {}), f"{path} [survey]"), tuple(items))


def finished_items(out_dir: Path, results: Path = RESULTS) -> dict[str, Row]:
    """Return the finished items: those of the results file, and the bundles in the output folder."""
    entries: dict[str, Row] = {}
    if results.is_file():
        entries |= json.loads(results.read_text(encoding="utf-8"))["items"]
    for path in sorted(out_dir.glob("*/model.json")):
        info = read_bundle_info(path.parent)
        keys = ("architecture", "trainable_parameters", "vae_sha256", "training_survey", "recipe", "scores", "sha256")
        entries[path.parent.name] = {key: info[key] for key in keys}
    return entries


def write_results(out_dir: Path, results: Path = RESULTS) -> None:
    """Mark the bundles of the output folder as finished in the results file."""
    write_json(results, {"what": "finished items of a training queue", "items": finished_items(out_dir, results)})


def seconds_needed(config: CnnConfig, n_train: int, finished: dict[str, Row]) -> float | None:
    """Estimate how long an item takes from finished ones of the same network, else from any; None if there are none."""
    speeds = {}
    for entry in finished.values():
        if entry["scores"].get("train_seconds"):
            speeds[entry["architecture"]] = entry["scores"]["passes"] / entry["scores"]["train_seconds"]
    if not speeds:
        return None
    return config.n_epochs * n_train / speeds.get(config.model, min(speeds.values()))


def fastest_settings(
    config: CnnConfig, data: TrainingSet, loader: Loader, device: torch.device, report: Report
) -> CnnConfig:
    """Try memory formats and compilation for a few batches each; return the settings of the fastest.

    A setting that fails on this machine (no compiler, say) is passed over.
    """
    speeds: dict[tuple[bool, bool], float] = {}
    for channels_last, is_compiled in ((True, False), (False, False), (True, True)):
        trial = dataclasses.replace(config, channels_last=channels_last, compile=is_compiled)
        try:
            speeds[channels_last, is_compiled] = _images_per_s(trial, data, loader, device)
        except Exception as error:  # whatever a compiler raises, training goes on without it
            report(f"channels_last={channels_last}, compile={is_compiled} fails: {str(error)[:200]}")
    if not speeds:
        return config
    for (channels_last, is_compiled), speed in speeds.items():
        report(f"{config.model}: channels_last={channels_last}, compile={is_compiled}: {speed:.0f} images/s")
    channels_last, is_compiled = max(speeds, key=lambda key: speeds[key])
    return dataclasses.replace(config, channels_last=channels_last, compile=is_compiled)


def _images_per_s(config: CnnConfig, data: TrainingSet, loader: Loader, device: torch.device) -> float:
    training = CnnTraining(build_network(config.model, config.network_options), data, loader, config, device)
    plan = plan_epoch(training.train_rows, config.batch_size, 0, 0)
    plan = (plan * (2 * _TRIAL_BATCHES // len(plan) + 1))[: 2 * _TRIAL_BATCHES]
    started = 0.0
    for index, batch in enumerate(loader.batches(plan)):
        loss = training.train_batch(batch.images, batch.targets)
        if index == _TRIAL_BATCHES - 1:
            float(loss)  # waits for the device
            started = time.perf_counter()
    float(loss)
    return _TRIAL_BATCHES * config.batch_size / (time.perf_counter() - started)


@dataclasses.dataclass
class Queue:
    """The queue at work on one machine.

    Parameters
    ----------
    plan : QueuePlan
    work_dir : Path
        Local disk for the survey (0.5 MB a galaxy) and the run folders; reused by later calls.
    out_dir : Path
        Bundles of finished items.
    results : Path
        JSON of finished items.
    device : str
        "cuda" or "cpu".
    n_jobs : int
        Processes that simulate.
    minutes : float
        Time at hand; an item that would not fit into the rest is left out. 0 = no limit.
    report : callable
        Called with one line of text.
    stop : callable
        When true, the item in work writes a checkpoint and the queue ends.
    vae_dir : Path
        Bundle of the VAE whose latents are predicted.
    survey_dir : Path, optional
        An existing survey folder to train on, its first n_galaxies, instead of simulating the plan's survey.
    """

    plan: QueuePlan
    work_dir: Path
    out_dir: Path
    results: Path
    device: str
    n_jobs: int
    minutes: float = 0.0
    report: Report = print
    stop: Callable[[], bool] = lambda: False
    vae_dir: Path = dataclasses.field(default_factory=shipped_vae_dir)
    survey_dir: Path | None = None

    def __post_init__(self) -> None:
        self._started = time.monotonic()

    def run(self) -> None:
        """Simulate the survey if it is not there, then train what is not finished."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("there is no GPU on this machine; `make gpu-train` is for machines that have one.")
        vae = load_vae_bundle(self.vae_dir)
        todo = [item for item in self.plan.items if item.name not in finished_items(self.out_dir, self.results)]
        self.report(f"{len(todo)} of {len(self.plan.items)} items to do")
        if not todo:
            return
        data = self._training_set(vae)
        device = torch.device(self.device)
        self.report("reading images" + (" into GPU memory" if self.device == "cuda" else ""))
        loader = make_loader(data, fit_image_scaler(data), device)
        for item in todo:
            if not self._fits(item, len(data.rows("train"))):
                continue
            self._train(item, data, vae, loader, device)
        self.report("queue finished")

    def _training_set(self, vae: VaeBundle) -> TrainingSet:
        """Return the plan's survey, simulated here, or the first galaxies of an existing one."""
        if self.survey_dir is None:
            make_survey(self.work_dir / "survey", self.plan.survey, self.n_jobs, self.report)
            return load_training_set(self.work_dir / "survey", vae)
        # Here, because survey folders need zarr, which a bare GPU machine lacks.
        from galspec.store.survey import open_survey
        from galspec.training.survey_set import training_set

        self.report(f"reading the first {self.plan.survey.n_galaxies} galaxies of {self.survey_dir}")
        return training_set(
            open_survey(self.survey_dir), vae, self.plan.survey.n_galaxies, use_cache=True, n_jobs=self.n_jobs
        )

    def _fits(self, item: QueueItem, n_train: int) -> bool:
        config = item.config_for(n_train)
        seconds = seconds_needed(config, n_train, finished_items(self.out_dir, self.results))
        left = 60.0 * self.minutes - (time.monotonic() - self._started)
        if not self.minutes or (seconds or 0.0) < left:
            return True
        self.report(f"{item.name} needs about {seconds or 0.0:.0f} s, {max(left, 0.0):.0f} s are left: not started")
        return False

    def _train(self, item: QueueItem, data: TrainingSet, vae: VaeBundle, loader: Loader, device: torch.device) -> None:
        run_dir = self.work_dir / "runs" / item.name
        config = item.config_for(len(data.rows("train")))
        if (config.image_form, config.image_scaling) != (loader.scaler.form, loader.scaler.scaling):
            loader = loader.with_scaler(fit_image_scaler(data, config.image_form, config.image_scaling))
        options = "".join(f"-{key}-{value}" for key, value in config.network_options.items())
        speed_path = self.work_dir / f"settings-{config.model}{options}.json"
        if device.type == "cuda":
            if not speed_path.is_file():
                fast = fastest_settings(config, data, loader, device, self.report)
                write_json(speed_path, {"channels_last": fast.channels_last, "compile": fast.compile})
            config = dataclasses.replace(config, **json.loads(speed_path.read_text()))
        self.report(f"training {item.name}")

        def show(row: Row) -> None:
            words = [f"{key} {row[key]}" for key in ("epoch", "train_mse", "valid_mse", "images_per_s") if key in row]
            self.report(f"{item.name}: {', '.join(words)}")

        bundle = train_cnn(
            data, vae, config, run_dir, show, stop=self.stop, device=self.device, loader=loader, name=item.name
        )
        sizes = [path.stat().st_size for path in bundle.iterdir()]
        if max(sizes) > MAX_FILE_BYTES:
            self.report(f"{item.name}: {max(sizes)} bytes are too large to bring home: its scores come without weights")
        self.out_dir.mkdir(parents=True, exist_ok=True)
        shutil.copytree(bundle, self.out_dir / item.name, dirs_exist_ok=True)
        write_results(self.out_dir, self.results)
        shutil.rmtree(run_dir / "checkpoint", ignore_errors=True)
        self.report(f"finished {item.name}")


def _too_large(folder: str, names: list[str]) -> list[str]:
    """Return the files that do not come home; model.json does, and with it the scores."""
    return [name for name in names if (Path(folder) / name).stat().st_size > MAX_FILE_BYTES]


def bring_home(out_dir: Path, target: Path, results: Path, seen_path: Path) -> list[str]:
    """Copy up to three bundles that were not copied before, and the results file, into a small folder.

    Weights of more than 16 MiB stay behind.

    Parameters
    ----------
    out_dir : Path
        Bundles of finished items.
    target : Path
        The folder that comes back from the machine.
    results : Path
        JSON of finished items.
    seen_path : Path
        JSON list of the items copied before.

    Returns
    -------
    list of str
        The items copied now.
    """
    seen = json.loads(seen_path.read_text()) if seen_path.is_file() else []
    new = [path.parent for path in sorted(out_dir.glob("*/model.json"), key=lambda path: path.stat().st_mtime)]
    new = [folder for folder in new if folder.name not in seen][:MAX_BUNDLES_A_CALL]
    for folder in new:
        shutil.copytree(folder, target / folder.name, ignore=_too_large, dirs_exist_ok=True)
    if results.is_file():
        shutil.copyfile(results, target / results.name)
    write_json(seen_path, [*seen, *(folder.name for folder in new)])
    return [folder.name for folder in new]


def collect(source: Path, out_dir: Path, results: Path = RESULTS) -> list[str]:
    """Take bundles that came home into the output folder and mark them as finished.

    Raises
    ------
    BundleError
        If a bundle that came home is damaged.
    """
    names = []
    for path in sorted(source.glob("*/model.json")):
        read_bundle_info(path.parent)
        shutil.copytree(path.parent, out_dir / path.parent.name, dirs_exist_ok=True)
        names.append(path.parent.name)
    write_results(out_dir, results)
    return names
