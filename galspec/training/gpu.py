"""What a run learns of its GPU: how busy it is, and which batch fits when its memory runs out."""

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from galspec.training.loop import CnnTraining

#: Milliseconds between two looks at the GPU.
_LOOK_MS: Final = 500


class GpuUtilisation:
    """Percentage of the time in which the GPU was at work, as nvidia-smi reports it twice a second.

    nvidia-smi comes with every driver, whereas `torch.cuda.utilization` needs one more package. It runs beside the
    training in a process of its own, and ends with it.
    """

    def __init__(self) -> None:
        self._sum, self._n = 0.0, 0
        self._lock = threading.Lock()

    def take(self) -> float | None:
        """Return the mean since the last call, in per cent; None if nothing was reported."""
        with self._lock:
            mean = self._sum / self._n if self._n else None
            self._sum, self._n = 0.0, 0
        return None if mean is None else round(mean, 1)

    def add(self, line: str) -> None:
        """Take in one line of nvidia-smi; anything but a number, as parts of a GPU report, counts as nothing."""
        with contextlib.suppress(ValueError):
            value = float(line)
            with self._lock:
                self._sum, self._n = self._sum + value, self._n + 1


@contextlib.contextmanager
def watch_utilisation(device: torch.device) -> Iterator[GpuUtilisation]:
    """Watch the GPU of a run for the length of the block; without GPU or nvidia-smi nothing is reported."""
    utilisation = GpuUtilisation()
    program = shutil.which("nvidia-smi")
    if device.type != "cuda" or program is None:
        yield utilisation
        return
    # By its identifier: nvidia-smi counts GPUs that CUDA_VISIBLE_DEVICES hides from torch.
    name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--loop-ms={_LOOK_MS}"]
    with read_lines([program, "-i", name, *query], utilisation):
        yield utilisation


@contextlib.contextmanager
def read_lines(command: list[str], utilisation: GpuUtilisation) -> Iterator[None]:
    """Run a command for the length of the block and give its lines to the meter."""
    process = subprocess.Popen(  # noqa: S603  nvidia-smi, found on the path
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )

    def read() -> None:
        for line in process.stdout or ():
            utilisation.add(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        reader.join()
        if process.stdout:
            process.stdout.close()


def out_of_memory(training: "CnnTraining") -> str:
    """Say what to do about a GPU whose memory did not hold a batch, after trying smaller ones.

    Called after the failed step's exception is gone: its traceback keeps the tensors of that step alive.
    """
    asked = training.config.batch_size
    where = f"a batch of {asked} galaxies does not fit into the memory of the {training.device.type} device"
    if training.device.type == "cuda":
        where += f" ({torch.cuda.get_device_properties(training.device).total_memory / 1e9:.0f} GB)"
    if training.processes.n > 1:  # a trial would need all processes, of which others wait elsewhere
        return f"{where}, shared among {training.processes.n} processes; halve --batch-size or use more GPUs."
    fitting = _fitting_batch_size(training)
    if not fitting:
        return f"{where}, and not even one of 2 does; free the memory that other programs hold."
    return f"{where}; {fitting} fit: start anew with --batch-size {fitting}, or use several GPUs (docs/training.md)."


def _fitting_batch_size(training: "CnnTraining") -> int:
    """Halve the batch until a step works; 0 if none does."""
    n = training.config.batch_size // 2
    while n >= 2 and not _fits(training, n):
        n //= 2
    return n if n >= 2 else 0


def _fits(training: "CnnTraining", n: int) -> bool:
    training.ranger.zero_grad()
    if training.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        images = torch.randn((n, *training.data.images.shape[1:]), device=training.device)
        training.predict(images).square().mean().backward()
        if training.device.type == "cuda":
            torch.cuda.synchronize(training.device)
    except torch.OutOfMemoryError:
        return False
    return True
