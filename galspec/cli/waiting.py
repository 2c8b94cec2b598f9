"""`python -m galspec.cli.waiting DESCRIPTOR`: load what a training imports, then do the command that arrives.

The other end is `galspec.jobs.waiting`. It sends open files first, the log and whatever else the command must hold,
then one JSON object; if it closes without, this process ends.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Final

import galspec

_MAX_DESCRIPTORS: Final = 64


def load() -> None:
    """Import what training a network needs: seconds, most of them torch's."""
    import galspec.cli.train
    import galspec.models.bundle
    import galspec.store.survey
    import galspec.training.cnn
    import galspec.training.survey_set  # noqa: F401


def main(argv: list[str]) -> int:
    """Wait, become the command, return its exit code."""
    with socket.socket(fileno=int(argv[0])) as channel:
        load()
        first, descriptors, _, _ = socket.recv_fds(channel, 1, _MAX_DESCRIPTORS)
        if not first:
            return 0
        with channel.makefile("rb") as stream:
            content = json.loads(stream.read())
    log, *_held = descriptors  # the others stay open until the process ends, and so do their locks
    for output in (1, 2):
        os.dup2(log, output)
    os.close(log)
    os.environ.clear()
    os.environ.update(content["environment"])
    sys.argv = [str(Path(galspec.__file__).with_name("__main__.py")), *content["argv"]]
    from galspec.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
