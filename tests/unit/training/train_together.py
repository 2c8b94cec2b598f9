"""Started by tests as one of several processes: train the small set and leave a run folder."""

import os
import signal
import sys
import warnings
from pathlib import Path

import torch

from galspec.core.errors import GalspecError
from galspec.models.bundle import load_vae_bundle
from galspec.training.cnn import train_cnn
from galspec.training.config import CnnConfig
from galspec.training.distributed import join_processes
from galspec.training.run_folder import RunStopped, stop_on_signals
from tests.unit.training.conftest import make_bright_set

BATCH = 16


def main(run_dir: Path, vae_dir: Path, model: str, stop_after: int) -> int:
    """Train; process 1 signals itself after ``stop_after`` batches, as a machine that is taken away would."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    n_done = 0

    def look() -> bool:
        nonlocal n_done
        n_done += 1
        if n_done == stop_after and processes.rank == processes.n - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return stop()

    config = CnnConfig(model=model, n_epochs=2, batch_size=BATCH, precision="fp32", report_batches=2, ema_decay=0.9)
    data, vae = make_bright_set(100, 16), load_vae_bundle(vae_dir)
    try:
        with stop_on_signals() as stop, join_processes("cpu") as processes:
            train_cnn(data, vae, config, run_dir, stop=look, device="cpu", processes=processes)
    except RunStopped:
        return 130
    except GalspecError as error:
        sys.stderr.write(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
