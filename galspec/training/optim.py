"""The optimiser of the paper: RAdam with Lookahead, weight decay on weights only, one cycle stepped per batch."""

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.radam import radam

from galspec.core.errors import ConfigError, RunError

#: Wu & Peek (2020), with the details of their code: fastai's Ranger under fit_one_cycle.
BETAS: Final = (0.95, 0.99)
EPS: Final = 1e-6
LOOKAHEAD_STEPS: Final = 6
LOOKAHEAD_ALPHA: Final = 0.5
#: "adam" is fastai's default, for the run without the paper's enhancements.
RULES: Final = ("ranger", "adam")
_ADAM_BETAS: Final = (0.9, 0.99)
_ADAM_EPS: Final = 1e-5
MAX_LR: Final = 0.03
#: The fully deconvolved network diverges at 0.03.
MAX_LR_DECONV: Final = 0.003


def default_max_lr(model_name: str) -> float:
    """Return the paper's peak learning rate of a network."""
    return MAX_LR_DECONV if model_name == "xresnet18-deconv" else MAX_LR


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters: weights decay, biases and the scales of norms do not.

    Every bias and every norm parameter has at most one dimension, and so has the learnt gain of
    the self-attention, which starts at 0 and would be pulled back there.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def one_cycle(step: int, n_steps: int, first: float, peak: float, last: float) -> float:
    """Return a value that goes from first to peak in a quarter of the steps and then to last, along cosines.

    Smith & Topin (2018) in the form of torch's OneCycleLR, which a test compares with it.

    Parameters
    ----------
    step : int
        From 0.
    n_steps : int
        The last step is n_steps - 1.
    first, peak, last : float
        Values at the first step, at the turn and at the last step.
    """
    share = 0.25 if n_steps != 4 else 0.3  # the first part of 4 steps would have no length
    turn = share * n_steps - 1.0
    begin, end, first, last = (0.0, turn, first, peak) if step <= turn else (turn, n_steps - 1.0, peak, last)
    return last + (first - last) / 2.0 * (math.cos(math.pi * (step - begin) / (end - begin)) + 1.0)


class _Moments:
    """What RAdam and Adam keep of one parameter: steps taken, means of the gradient and of its square."""

    NAMES: Final = ("step", "exp_avg", "exp_avg_sq")

    def __init__(self, parameter: Tensor):
        self.parameter = parameter
        self.step = torch.tensor(0.0)  # on the CPU, where the rule reads it
        self.exp_avg = torch.zeros_like(parameter)
        self.exp_avg_sq = torch.zeros_like(parameter)


class Ranger:
    """RAdam with Lookahead (Zhang et al. 2019), or Adam, and a one-cycle schedule, as one steppable object.

    Every ``k`` steps the fast weights are pulled half-way back to the slow ones:
    slow += alpha (fast - slow); fast = slow.

    The rules are torch's functions, not its optimiser objects: those import torch's compiler, which costs every
    training 1.5 s before its first step (benchmarks/bench_start.py).

    Parameters
    ----------
    network : nn.Module
        Its trainable parameters are optimised in place.
    n_steps : int
        Batches of the whole run; the cycle ends there.
    max_lr : float
        Peak learning rate: cosine from max_lr / 25 over 25 % of the steps, then down to max_lr / 1e5.
    weight_decay : float
        Decoupled; applied to weights only.
    lookahead_steps : int
        k of Lookahead; 0 switches it off.
    rule : str
        "ranger", or "adam": Adam without Lookahead, with decoupled weight decay.

    Raises
    ------
    ConfigError
        If ``n_steps`` is below 1, ``max_lr`` is not positive, or the rule is unknown.
    """

    def __init__(
        self,
        network: nn.Module,
        n_steps: int,
        max_lr: float = MAX_LR,
        weight_decay: float = 0.01,
        lookahead_steps: int = LOOKAHEAD_STEPS,
        rule: str = "ranger",
    ):
        if n_steps < 1 or max_lr <= 0.0:
            raise ConfigError(f"a run needs at least 1 batch and a positive learning rate, not {n_steps} and {max_lr}.")
        if rule not in RULES:
            raise ConfigError(f"optimiser is {rule!r}, but must be one of {', '.join(RULES)}.")
        self.n_steps = n_steps
        self.n_done = 0
        self.max_lr = max_lr
        self._k = lookahead_steps if rule == "ranger" else 0
        self._prefix = "radam" if rule == "ranger" else "adam"
        self._rule: Callable[..., None] = (
            functools.partial(radam, decoupled_weight_decay=True, beta2=BETAS[1], eps=EPS)
            if rule == "ranger"
            else functools.partial(
                adamw, max_exp_avg_sqs=[], amsgrad=False, maximize=False, beta2=_ADAM_BETAS[1], eps=_ADAM_EPS
            )
        )
        groups = parameter_groups(network, weight_decay)
        self._groups = [
            ([_Moments(parameter) for parameter in group["params"]], float(group["weight_decay"])) for group in groups
        ]
        self._all = [one for group, _ in self._groups for one in group]
        self._fast: list[Tensor] = [one.parameter for one in self._all]
        self._slow: list[Tensor] = [parameter.detach().clone() for parameter in self._fast]

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return one_cycle(self._at, self.n_steps, self.max_lr / 25.0, self.max_lr, self.max_lr / 25.0 / 4000.0)

    @property
    def momentum(self) -> float:
        """First beta of the next step."""
        return one_cycle(self._at, self.n_steps, 0.95, 0.85, 0.95)

    @property
    def _at(self) -> int:
        return min(self.n_done, self.n_steps - 1)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._fast:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters from their gradients and move along the cycle."""
        for group, weight_decay in self._groups:
            self._apply_rule([one for one in group if one.parameter.grad is not None], weight_decay)
        self.n_done += 1
        if self._k and self.n_done % self._k == 0:
            torch._foreach_lerp_(self._slow, self._fast, LOOKAHEAD_ALPHA)
            torch._foreach_copy_(self._fast, self._slow)

    def _apply_rule(self, moved: list[_Moments], weight_decay: float) -> None:
        if not moved:
            return
        self._rule(
            params=[one.parameter for one in moved],
            grads=[one.parameter.grad for one in moved],
            exp_avgs=[one.exp_avg for one in moved],
            exp_avg_sqs=[one.exp_avg_sq for one in moved],
            state_steps=[one.step for one in moved],
            beta1=self.momentum,
            lr=self.lr,
            weight_decay=weight_decay,
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what resuming needs: tensors by name, and plain numbers that JSON can hold exactly."""
        tensors = {f"slow.{index}": value for index, value in enumerate(self._slow)}
        for index, one in enumerate(self._all):
            for name in one.NAMES:
                tensors[f"{self._prefix}.{index}.{name}"] = getattr(one, name)
        return tensors, {"n_done": self.n_done, "n_steps": self.n_steps}

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Go back to a state of the same network and the same number of steps.

        Raises
        ------
        RunError
            If the state belongs to a run of another length or another network.
        """
        if numbers["n_steps"] != self.n_steps:
            raise RunError(f"the checkpoint is of a run of {numbers['n_steps']} batches, not of {self.n_steps}.")
        if sum(name.startswith("slow.") for name in tensors) != len(self._slow):
            raise RunError("the checkpoint's optimiser belongs to another network.")
        for index, (one, slow) in enumerate(zip(self._all, self._slow, strict=True)):
            slow.copy_(tensors[f"slow.{index}"])
            for name in one.NAMES:
                # Absent in checkpoints of an earlier version for what had no gradient yet.
                if (value := tensors.get(f"{self._prefix}.{index}.{name}")) is not None:
                    getattr(one, name).copy_(value)
        self.n_done = numbers["n_done"]


class AveragedWeights:
    """Exponential moving average of the weights (an option beyond the paper).

    Parameters
    ----------
    network : nn.Module
    decay : float
        Share of the old average kept at each step, in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float):
        if not 0.0 < decay < 1.0:
            raise ConfigError(f"ema_decay is {decay}, but must lie between 0 and 1.")
        self._decay = decay
        self._n_updates = 0
        self._averaged = {name for name, _ in network.named_parameters()}
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step of the average towards the present weights; running statistics are copied."""
        self._n_updates += 1
        # A young average follows quickly, or the random start would stay in it for 1/(1-decay) steps.
        decay = min(self._decay, (1.0 + self._n_updates) / (10.0 + self._n_updates))
        for name, value in network.state_dict().items():
            if name in self._averaged:
                self.average[name].lerp_(value, 1.0 - decay)
            else:
                self.average[name].copy_(value)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors and numbers that resuming needs."""
        return dict(self.average), {"n_updates": self._n_updates}

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Go back to a saved average."""
        for name, value in tensors.items():
            self.average[name].copy_(value)
        self._n_updates = numbers["n_updates"]


def gradient_norm(network: nn.Module) -> Tensor:
    """Return the Euclidean norm of all gradients together."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return torch.stack(list(torch._foreach_norm(gradients))).norm()
