"""Settings of a training run: frozen, checked, read from TOML without unknown keys."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

from galspec.core.errors import ConfigError
from galspec.models.catalog import network_args
from galspec.models.xresnet import NetworkOptions
from galspec.preprocess.cutouts import IMAGE_FORMS, IMAGE_SCALINGS
from galspec.training.optim import RULES, default_max_lr

PRECISIONS: Final = ("bf16", "fp32")
SHIPPED: Final = ("last", "best")
#: Settings of ablations: in a run's identity only where they are not the paper's, so that older runs continue.
ABLATIONS: Final = (
    *(field.name for field in dataclasses.fields(NetworkOptions)),
    "optimiser",
    "image_scaling",
    "image_form",
)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class CnnConfig:
    """How a network is trained; the defaults are those of Wu & Peek (2020).

    Parameters
    ----------
    model : str
        Name in the catalogue of networks.
    n_epochs : int
        Passes through the train split.
    batch_size : int
        Galaxies a batch.
    max_lr : float
        Peak learning rate; 0 means the paper's for this network (0.03, fully deconvolved 0.003).
    weight_decay : float
        Decoupled; not on norms and biases.
    seed : int
        Initial weights, shuffling and augmentation.
    precision : str
        "bf16" (autocast; weights and sums stay float32) or "fp32" (on CUDA with TF32, as `tf32` says).
    tf32 : bool
        Let CUDA round float32 products to TF32; has no effect on CPUs.
    channels_last : bool
        Memory format of images and weights; slower on the CPUs measured, faster on most GPUs.
    compile : bool
        Compile the network with torch.compile.
    is_augmented : bool
        Random D4 symmetry for each training image.
    grad_clip : float
        Largest norm of the gradient; 0 = off.
    ema_decay : float
        Average the weights over steps and ship the average; 0 = off.
    early_stopping : int
        Stop after this many epochs without a better validation MSE; 0 = off.
    ship : str
        Weights that go into the bundle: "last" epoch (the paper) or "best" on validation.
    n_recalibration : int
        Batches over which normalisation statistics are measured anew after the last epoch; 0 = off.
    num_threads : int
        Threads of torch on the CPU; 0 = torch's own choice.
    checkpoint_minutes : float
        Longest time between checkpoints.
    report_batches : int
        Batches between two progress rows.
    deconv_iterations, deconv_eps, activation, self_attention, groups, squeeze_excite
        What differs from the published network: see `galspec.models.xresnet.NetworkOptions`.
    optimiser : str
        "ranger" (RAdam with Lookahead) or "adam", as the published notebook without its enhancements.
    image_scaling : str
        "linear" (the paper) or "arcsinh": see `galspec.preprocess.cutouts.ImageScaler`.
    image_form : str
        What the network sees of an image: "full", "colour" or "grey", see there.

    Raises
    ------
    ConfigError
        If a value is outside its range; the message names it.
    """

    model: str = "xresnet18-hybrid"
    n_epochs: int = 10
    batch_size: int = 128
    max_lr: float = 0.0
    weight_decay: float = 0.01
    seed: int = 12345
    precision: str = "bf16"
    tf32: bool = True
    channels_last: bool = False
    compile: bool = False
    is_augmented: bool = True
    grad_clip: float = 0.0
    ema_decay: float = 0.0
    early_stopping: int = 0
    ship: str = "last"
    n_recalibration: int = 0
    num_threads: int = 0
    checkpoint_minutes: float = 5.0
    report_batches: int = 10
    deconv_iterations: int = 5
    deconv_eps: float = 1e-5
    activation: str = "mish"
    self_attention: bool = True
    groups: int = 64
    squeeze_excite: bool = True
    optimiser: str = "ranger"
    image_scaling: str = "linear"
    image_form: str = "full"

    def __post_init__(self) -> None:
        for name in ("n_epochs", "batch_size", "report_batches"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        if self.batch_size < 2:
            raise ConfigError("batch_size is 1, but batch normalisation needs at least 2 galaxies a batch.")
        for name in ("max_lr", "weight_decay", "grad_clip", "early_stopping", "n_recalibration", "num_threads", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must not be negative.")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigError(f"ema_decay is {self.ema_decay}, but must lie in 0-1 (0 = off).")
        _require_one_of("precision", self.precision, PRECISIONS)
        _require_one_of("ship", self.ship, SHIPPED)
        _require_one_of("optimiser", self.optimiser, RULES)
        _require_one_of("image_scaling", self.image_scaling, IMAGE_SCALINGS)
        _require_one_of("image_form", self.image_form, IMAGE_FORMS)
        _ = self.network_options  # checked

    @property
    def peak_lr(self) -> float:
        """Peak learning rate, the paper's unless given."""
        return self.max_lr or default_max_lr(self.model)

    @property
    def network_options(self) -> dict[str, Any]:
        """What differs from the published network, for `galspec.models.catalog.build_network`."""
        names = (field.name for field in dataclasses.fields(NetworkOptions))
        return network_args(self.model, {name: getattr(self, name) for name in names})

    @property
    def identity(self) -> dict[str, Any]:
        """Settings that decide the result: a checkpoint with others cannot be continued."""
        free = {"num_threads", "checkpoint_minutes", "report_batches", "compile", "ship", "n_recalibration"}
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        free |= {name for name in ABLATIONS if getattr(self, name) == defaults[name]}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in free}


def config_from_table(cls: type[T], table: dict[str, Any], where: str) -> T:
    """Build a settings dataclass from a table, refusing unknown keys and wrong types.

    Raises
    ------
    ConfigError
        If a key is unknown or a value has the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass
    if unknown := sorted(table.keys() - fields):
        raise ConfigError(f"{where}: unknown setting(s) {', '.join(unknown)}; known are {', '.join(fields)}.")
    kinds: dict[str, type[Any]] = {name: type(field.default) for name, field in fields.items()}
    for name, value in table.items():
        expected = kinds[name]
        # TOML writes 1 for 1.0 and has arrays for tuples.
        is_close = (expected, type(value)) in {(float, int), (tuple, list)}
        if type(value) is not expected and not is_close:
            raise ConfigError(f"{where}: {name} = {value!r} must be of type {expected.__name__}.")
    return cls(**{name: kinds[name](value) for name, value in table.items()})


def load_config(cls: type[T], path: Path, table: str) -> T:
    """Read one table of a TOML file into a settings dataclass.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, has no such table, or holds a wrong setting.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read settings from {path}: {error}") from None
    if not isinstance(content.get(table), dict):
        raise ConfigError(f"{path} has no table [{table}].")
    return config_from_table(cls, content[table], f"{path} [{table}]")


def _require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}, but must be one of {', '.join(allowed)}.")
