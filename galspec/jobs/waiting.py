"""A command's process that is there before its command: it loads what trainings import, and waits for its words."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

#: What `WaitingCommand.can_run` compares: a waiting process has loaded what networks need to train.
_TRAINING: Final = ("-m", "galspec", "train", "cnn")


class WaitingCommand:
    """A process in a group of its own that waits for the words of one command.

    Parameters
    ----------
    cwd : Path
        Where it works.
    """

    def __init__(self, cwd: Path):
        own, its = socket.socketpair()
        with its:
            self.process = subprocess.Popen(  # noqa: S603  this Python and a module
                [sys.executable, "-m", "galspec.cli.waiting", str(its.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=cwd,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                process_group=0,
                pass_fds=(its.fileno(),),
            )
        self._channel = own

    def can_run(self, words: Sequence[str]) -> bool:
        """Return True if the process still waits, and the words are what it has prepared for."""
        return tuple(words[:5]) == (sys.executable, *_TRAINING) and self.process.poll() is None

    def give(
        self, words: Sequence[str], environment: Mapping[str, str], log: int, descriptors: Sequence[int] = ()
    ) -> None:
        """Let the process become the command.

        Parameters
        ----------
        words : sequence of str
            As for `subprocess.Popen`.
        environment : mapping
            All of it.
        log : int
            Open file that becomes its output.
        descriptors : sequence of int
            Open files that it keeps, for the locks they hold.

        Raises
        ------
        OSError
            If it died meanwhile.
        """
        with self._channel as channel:
            socket.send_fds(channel, [b"\0"], [log, *descriptors])
            channel.sendall(json.dumps({"argv": list(words[3:]), "environment": dict(environment)}).encode())

    def drop(self) -> None:
        """End the process."""
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
