"""Settings of trainings as a form needs them: type, bounds, the paper's value; without torch.

`tests/unit/jobs/test_fields.py` compares every entry with the dataclasses that the trainings really use.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from galspec.core.errors import JobError

NETWORKS: Final = ("xresnet18-hybrid", "xresnet18", "xresnet18-deconv", "simple-cnn", "simple-deconv")
#: Options that change only some networks.
_ONLY_XRESNET: Final = ("activation", "self_attention", "groups", "squeeze_excite")
_NO_DECONV: Final = ("xresnet18", "simple-cnn")


@dataclasses.dataclass(frozen=True)
class Field:
    """One setting.

    Parameters
    ----------
    name : str
        As in the TOML file.
    label : str
    default : int, float, bool or str
    low, high : float
        Bounds of a number, both allowed.
    choices : tuple
        Allowed values of a text or a number; empty = any within the bounds.
    unit : str
    paper : str
        The paper's value in words.
    help : str
    is_common : bool
        Shown without unfolding.
    """

    name: str
    label: str
    default: Any
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()
    unit: str = ""
    paper: str = ""
    help: str = ""
    is_common: bool = False

    def check(self, value: Any) -> Any:
        """Return a value in the setting's type, or refuse it.

        Raises
        ------
        JobError
            If it has another type, or lies outside the bounds or the choices.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise JobError(f"{value!r} must be of type {kind.__name__}.", self.name)
        if self.choices and value not in self.choices:
            raise JobError(f"{value!r} is none of {', '.join(map(str, self.choices))}.", self.name)
        if not self.choices and kind in (int, float) and not self.low <= value <= self.high:
            raise JobError(f"{value:g} lies outside {self.low:g} to {self.high:g}.", self.name)
        return value


CNN: Final = (
    Field("model", "Network", "xresnet18-hybrid", choices=NETWORKS, paper="xresnet18-hybrid", is_common=True),
    Field("n_epochs", "Epochs", 10, 1, 1000, paper="10, 50", help="Passes through the train split.", is_common=True),
    Field("batch_size", "Batch size", 128, 2, 8192, unit="galaxies", paper="128", is_common=True),
    Field(
        "max_lr",
        "Peak learning rate (0: paper's)",
        0.0,
        0.0,
        1.0,
        paper="0.03, fully deconvolved 0.003",
        help="0 takes the paper's rate for the network.",
        is_common=True,
    ),
    Field(
        "seed", "Seed", 12345, 0, 2**31 - 1, paper="not given", help="Weights, shuffling, augmentation.", is_common=True
    ),
    Field("precision", "Precision", "bf16", choices=("bf16", "fp32"), paper="not given", is_common=True),
    Field("weight_decay", "Weight decay", 0.01, 0.0, 1.0, paper="0.01"),
    Field("optimiser", "Optimiser", "ranger", choices=("ranger", "adam"), paper="ranger (RAdam, Lookahead)"),
    Field("is_augmented", "Augmentation D4", True, paper="on", help="Random rotation and reflection of each image."),
    Field("image_scaling", "Image scaling", "linear", choices=("linear", "arcsinh"), paper="linear"),
    Field("image_form", "Image form", "full", choices=("full", "colour", "grey"), paper="full"),
    Field("deconv_iterations", "Newton-Schulz iterations", 5, 1, 50, paper="5"),
    Field("deconv_eps", "Deconvolution ε", 1e-5, 1e-8, 1.0, paper="1e-5"),
    Field("activation", "Activation", "mish", choices=("mish", "relu"), paper="mish"),
    Field("self_attention", "Self-attention", True, paper="on"),
    Field(
        "groups", "Groups", 64, choices=(1, 2, 4, 8, 16, 32, 64), paper="64", help="Of each block's first convolution."
    ),
    Field("squeeze_excite", "Squeeze and excite", True, paper="on"),
    Field("grad_clip", "Gradient clip", 0.0, 0.0, 1e6, paper="off (0)"),
    Field("ema_decay", "Weight average (EMA)", 0.0, 0.0, 0.99999, paper="off (0)"),
    Field("early_stopping", "Early stopping", 0, 0, 1000, unit="epochs", paper="off (0)"),
    Field("ship", "Weights to keep", "last", choices=("last", "best"), paper="last"),
    Field("n_recalibration", "Recalibration", 0, 0, 10_000, unit="batches", paper="off (0)"),
    Field("num_threads", "Threads", 0, 0, 1024, paper="not given", help="Of torch on processors; 0 = its own choice."),
    Field("tf32", "TF32", True, paper="not given", help="On GPUs with precision fp32."),
    Field("channels_last", "Channels last", False, paper="not given", help="Memory layout: changes speed only."),
    Field("compile", "torch.compile", False, paper="off"),
    Field("checkpoint_minutes", "Checkpoint", 5.0, 0.1, 1440.0, unit="minutes", paper="not given"),
    Field("report_batches", "Report", 10, 1, 10_000, unit="batches", paper="not given"),
)

VAE: Final = (
    Field("n_epochs", "Epochs", 100, 1, 10_000, paper="100", is_common=True),
    Field("batch_size", "Batch size", 64, 2, 65_536, unit="spectra", paper="64", is_common=True),
    Field("max_lr", "Learning rate", 1e-3, 1e-7, 1.0, paper="0.001", is_common=True),
    Field("schedule", "Schedule", "plateau", choices=("plateau", "one_cycle"), paper="plateau", is_common=True),
    Field("mmd_lambda", "MMD weight λ", 100.0, 1.0, 1e7, paper="not given", is_common=True),
    Field("seed", "Seed", 12345, 0, 2**31 - 1, paper="not given", is_common=True),
    Field("softening", "Softening", 0.022, 1e-6, 1.0, unit="of the norm", paper="not used"),
    Field("plateau_patience", "Patience of the rate", 5, 0, 1000, unit="epochs", paper="5"),
    Field("stop_patience", "Patience to stop", 10, 0, 1000, unit="epochs", paper="10"),
    Field("min_improvement", "Improvement that counts", 1e-3, 0.0, 1.0, paper="0.001"),
    Field("grad_clip", "Gradient clip", 0.0, 0.0, 1e6, paper="off (0)"),
    Field("input_noise", "Input noise", 0.0, 0.0, 10.0, unit="of the errors", paper="off (0)"),
)
#: Fields of VaeConfig that a form leaves alone: the networks of the catalogue predict six latents.
VAE_FIXED: Final = ("n_latent", "hidden")
TABLES: Final[dict[str, tuple[Field, ...]]] = {"cnn": CNN, "vae": VAE}


def changes_nothing(name: str, model: str) -> bool:
    """Return True if an option does not belong to a network.

    Examples
    --------
    >>> changes_nothing("groups", "simple-cnn"), changes_nothing("groups", "xresnet18")
    (True, False)
    """
    if name in _ONLY_XRESNET:
        return model.startswith("simple-")
    return name.startswith("deconv_") and model in _NO_DECONV


def check_settings(what: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not at their default, checked.

    Parameters
    ----------
    what : str
        "cnn" or "vae".
    settings : mapping

    Raises
    ------
    JobError
        If one is unknown, of the wrong type, out of bounds, or does not belong to the network; it names the field.
    """
    fields = {field.name: field for field in TABLES[what]}
    changed: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in fields:
            raise JobError("is no setting that this galspec knows.", name)
        checked = fields[name].check(value)
        if checked != fields[name].default:
            changed[name] = checked
    model = str(settings.get("model", "xresnet18-hybrid"))
    if what == "cnn" and (idle := [name for name in changed if changes_nothing(name, model)]):
        raise JobError(f"does not change a {model}.", idle[0])
    return changed


@dataclasses.dataclass(frozen=True)
class Preset:
    """Settings to begin with.

    Parameters
    ----------
    label, help : str
    what : str
        "cnn" or "vae".
    settings : dict
        What differs from the defaults.
    device : str
    max_galaxies : int
        0 = all.
    """

    label: str
    help: str
    what: str
    settings: dict[str, Any]
    device: str = "auto"
    max_galaxies: int = 0


def _network_preset(name: str) -> Preset:
    return Preset(f"{name}, 10 epochs", "The paper's recipe with this network.", "cnn", {"model": name})


PRESETS: Final[dict[str, Preset]] = {
    "smoke": Preset(
        "Smoke test, 2 minutes on a CPU",
        "The smallest network on few galaxies: shows that everything works, not how well.",
        "cnn",
        {
            "model": "simple-cnn",
            "n_epochs": 3,
            "batch_size": 16,
            "precision": "fp32",
            "report_batches": 1,
            "num_threads": 1,  # on a busy machine threads of so small a network wait for one another
        },
        device="cpu",
        max_galaxies=512,
    ),
    "paper10": Preset("Paper: hybrid, 10 epochs", "Wu & Peek (2020), Table 1.", "cnn", {}),
    "paper50": Preset("Paper: hybrid, 50 epochs", "Wu & Peek (2020), Table 1.", "cnn", {"n_epochs": 50}),
    **{name: _network_preset(name) for name in NETWORKS[1:]},
    "vae": Preset("VAE, published", "Portillo et al. (2020).", "vae", {}),
    "vae-shipped": Preset(
        "VAE, as shipped",
        "The settings of the VAE that comes with galspec (configs/vae.toml).",
        "vae",
        {
            "n_epochs": 150,
            "batch_size": 256,
            "max_lr": 0.006,
            "schedule": "one_cycle",
            "grad_clip": 100.0,
            "input_noise": 0.7,
        },
    ),
}
