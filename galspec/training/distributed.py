"""Several processes that train one network together, one a GPU, as torchrun starts them."""

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Iterator
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor

from galspec.core.errors import ConfigError

#: Longest wait for the other processes: the first one may have to render the images of a whole survey.
_PATIENCE: Final = datetime.timedelta(hours=12)


@dataclasses.dataclass(frozen=True)
class Processes:
    """Place of a process among those that train together; all of them call a method, or it waits for ever.

    Parameters
    ----------
    rank : int
        Number of this process; process 0 writes all files.
    n : int
        How many there are.
    local_rank : int
        Number of this process, and of its GPU, on this machine.
    """

    rank: int = 0
    n: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def device(self, name: str | None = None) -> torch.device:
        """Return the device of this process; a GPU if there is one, unless ``name`` says otherwise."""
        kind = name or ("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(kind, self.local_rank) if kind == "cuda" and self.n > 1 else torch.device(kind)

    def agree(self, flag: bool) -> bool:
        """Return True in every process if the flag is true in any."""
        if self.n == 1:
            return flag
        # On the CPU: the host must not wait for its GPU once a batch.
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.n > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait until every process is here."""
        self.agree(False)


#: A process that trains by itself.
ALONE: Final = Processes()


@contextlib.contextmanager
def join_processes(device: str | None = None) -> Iterator[Processes]:
    """Join the processes that torchrun started, for the length of the block; alone without torchrun.

    Parameters
    ----------
    device : str, optional
        "cpu" or "cuda"; GPUs if there are some, if None.

    Raises
    ------
    ConfigError
        If there are more processes on this machine than GPUs.
    """
    n = int(os.environ.get("WORLD_SIZE", "1"))
    if n == 1:
        yield ALONE
        return
    processes = Processes(int(os.environ["RANK"]), n, int(os.environ.get("LOCAL_RANK", "0")))
    is_cuda = processes.device(device).type == "cuda"
    if is_cuda:
        if processes.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"this machine has {torch.cuda.device_count()} GPUs, too few for process {processes.local_rank}; start "
                "torchrun with --nproc-per-node of at most that number, or train with --device cpu."
            )
        torch.cuda.set_device(processes.local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if is_cuda else "gloo", timeout=_PATIENCE)
    try:
        yield processes
    finally:
        dist.destroy_process_group()
