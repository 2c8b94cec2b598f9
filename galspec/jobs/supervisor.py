"""`python -m galspec.jobs.supervisor DIR`: run one job's command, watch it, and record how it ends.

With ``--standby`` instead of a folder it waits for one (`galspec.jobs.standby`).

The supervisor is small on purpose: it imports no numpy, sleeps almost always, and is not in the command's process
group, so that what kills the command leaves a record. If it is killed itself, the command goes on, and writes its own
exit record if it is a training.
"""

import contextlib
import ctypes
import dataclasses
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

from galspec.core.errors import JobError
from galspec.core.home import REPOSITORY_DIR, home_dir
from galspec.jobs.command import command_words
from galspec.jobs.folder import JobFolder, runs_dir
from galspec.jobs.job import Job
from galspec.jobs.places import Places, Queue, kind_of_place, list_gpus
from galspec.jobs.process import Moment, Process, cpu_seconds, descendants, memory_bytes
from galspec.jobs.records import ExitReserve, write_quick
from galspec.jobs.standby import WAIT_S
from galspec.jobs.waiting import WaitingCommand

#: Between SIGTERM and SIGKILL, seconds.
GRACE_S: Final = 20.0
_POLL_S: Final = 0.5
_BEAT_S: Final = 2.0
#: A share of one core that counts as a sign of life.
_BUSY: Final = 0.02
#: Of commands on this machine's processors: an idle one runs them as fast as ever. A GPU must not wait for its batches.
_NICENESS: Final = 10
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclasses.dataclass
class _Wish:
    """Why the command is to end, and since when."""

    reason: str = ""
    since: float = 0.0

    def ask(self, reason: str) -> None:
        if not self.reason:
            self.reason, self.since = reason, time.monotonic()


class Supervisor:
    """Runs and watches one attempt of a job.

    Parameters
    ----------
    folder : JobFolder
    grace_s : float
        Between SIGTERM and SIGKILL.
    waiting : WaitingCommand, optional
        A process that is ready to become the command.
    """

    def __init__(self, folder: JobFolder, grace_s: float = GRACE_S, waiting: WaitingCommand | None = None):
        self.folder = folder
        self.job: Job = folder.job()
        self._grace_s = grace_s
        self._waiting = waiting
        self._inode = folder.path.stat().st_ino
        self._wish = _Wish()
        self._life = Moment.now()
        self._seen: tuple[float, ...] = ()
        self._peak = 0
        self._last_beat = 0.0
        self._places: Places | None = None
        self._restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0)
        self._started = Moment.now()
        self._log_size = _size(folder.log)

    def prepare(self, is_announced: bool = True) -> None:
        """Be ready for signals and announce itself: from here on a reader sees who looks after the job."""
        self.folder.remove("ended.json")
        self._reserve = ExitReserve(self.folder.path / "ended.json")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._on_signal)
        # Grandchildren whose parent dies become children of this process, so that none is lost sight of.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if is_announced:
            self._announce(is_waiting=self.job.resources.backend == "local")

    def run(self) -> int:
        """Wait for a place, run the command, record its end; return its exit code."""
        try:
            self._places = self._wait_for_place() if self.job.resources.backend == "local" else None
        except JobError as error:
            self._log(f"cannot start: {error}")
            self._drop_waiting()
            return self._finish(2)
        if self._wish.reason:
            self._drop_waiting()
            return self._finish(-int(signal.SIGTERM))
        try:
            child = self._spawn()
        except OSError as error:
            self._log(f"cannot start {command_words(self.job, self.folder.path)[0]}: {error}")
            return self._finish(127)
        self._watch(child.pid)
        returncode = child.wait()
        self._kill_all(child.pid)  # nothing of the job outlives it
        return self._finish(returncode)

    def adopt(self) -> int:
        """Look after a command whose supervisor was killed; return its exit code as far as it is known."""
        record = self.folder.read("process.json") or {}
        command = Process.from_dict(record.get("job"))
        if command is None or not command.is_alive():
            return self._finish(self._guessed_code())
        self._log_size = int(record.get("log_size", 0))
        self._started = self.folder.moment("process.json", "started") or self._started
        self._announce(is_waiting=False, child=command)
        with contextlib.suppress(ProcessLookupError):
            self._watch(command.pid)
        return self._finish(self._guessed_code())

    def _guessed_code(self) -> int:
        """Return the exit code that fits what the command wrote: it is not a child, so nobody can ask for it."""
        own = (self.folder.read("exit.json") or {}).get("state")
        return {"finished": 0, "failed": 1}.get(str(own), -int(signal.SIGTERM))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._wish.ask("time limit" if number == signal.SIGUSR1 else "signal")

    def _announce(self, is_waiting: bool, child: Process | None = None) -> None:
        own = Process.of(os.getpid())
        content: dict[str, Any] = {
            "supervisor": dataclasses.asdict(own) if own else None,
            "job": dataclasses.asdict(child) if child else None,
            "is_waiting": is_waiting,
            "started": dataclasses.asdict(self._started),
            "restarts": self._restarts,
            "log_size": self._log_size,
            "places": self._places.names if self._places else (),
            "slurm_id": os.environ.get("SLURM_JOB_ID", ""),
        }
        with contextlib.suppress(OSError):
            write_quick(self.folder, "process.json", content)

    def _log(self, text: str) -> None:
        with contextlib.suppress(OSError), self.folder.log.open("a", encoding="utf-8") as handle:
            handle.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} job {text}\n")

    def _is_folder_gone(self) -> bool:
        try:
            return self.folder.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True
        except OSError:  # a shared disk may be away for a moment
            return False

    def _look_for_stop(self) -> None:
        if (self.folder.path / "stop.json").exists():
            self._wish.ask("stop")
        elif self._is_folder_gone():
            self._wish.ask("folder deleted")

    def _wait_for_place(self) -> Places | None:
        queue = Queue(runs_dir(), kind_of_place(self.job.resources, list_gpus()))
        if places := self._first_in(queue):
            return places
        self._drop_waiting()  # the queue may be long, and its memory is the running job's
        queue.join(self.job.id)
        try:
            while not self._wish.reason:
                if places := queue.take(self.job.resources.processes):
                    return places
                time.sleep(_POLL_S)
                self._look_for_stop()
            return None
        finally:
            queue.leave()

    def _first_in(self, queue: Queue) -> Places | None:
        """Take a place at once where nobody waits."""
        return queue.take(self.job.resources.processes) if queue.length() == 0 else None

    def _spawn(self) -> "subprocess.Popen[bytes]":
        words = command_words(self.job, self.folder.path, first_host=os.environ.get("SLURMD_NODENAME", ""))
        environment = {**os.environ, "GALSPEC_HOME": str(home_dir()), "PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "2"}
        descriptors: tuple[int, ...] = ()
        if self._places:
            environment |= self._places.environment
            descriptors = self._places.descriptors
        elif self.job.resources.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        with self.folder.log.open("ab") as log:
            child = self._turn_waiting(words, environment, log.fileno(), descriptors) or subprocess.Popen(  # noqa: S603  words of job.json, never a shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY_DIR,
                env=environment,
                process_group=0,  # a signal to the command's group does not reach this process
                pass_fds=descriptors,
            )
        if self._places and not self._places.gpus:
            _step_back(child.pid)
        self._started = Moment.now()
        self._announce(is_waiting=False, child=Process.of(child.pid))
        return child

    def _turn_waiting(
        self, words: list[str], environment: dict[str, str], log: int, descriptors: tuple[int, ...]
    ) -> "subprocess.Popen[bytes] | None":
        """Let the process that waits become the command, if there is one that can."""
        if self._waiting is not None and self._waiting.can_run(words):
            with contextlib.suppress(OSError):
                self._waiting.give(words, environment, log, descriptors)
                return self._waiting.process
        self._drop_waiting()
        return None

    def _drop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.drop()
            self._waiting = None

    def _watch(self, pid: int) -> None:
        """Wait for the command, ending it when asked."""
        ended = os.pidfd_open(pid)
        was_told = False
        try:
            while not select.select([ended], [], [], _POLL_S)[0]:
                self._look_for_stop()
                self._beat(pid)
                if self._wish.reason == "folder deleted":
                    self._kill_all(pid)  # what it could still write has no place any more
                elif self._wish.reason and not was_told:
                    was_told = True
                    self._log(f"asked to end ({self._wish.reason})")
                    _signal_group(pid, signal.SIGTERM)
                elif self._wish.reason and time.monotonic() - self._wish.since > self._grace_s:
                    self._kill_all(pid)
        finally:
            os.close(ended)

    def _kill_all(self, pid: int) -> None:
        _signal_group(pid, signal.SIGKILL)
        for other in {*descendants(pid), *descendants(os.getpid())}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)

    def _beat(self, pid: int) -> None:
        """Write the heartbeat: that the supervisor lives, and when the command last showed a sign of life."""
        now = Moment.now()
        elapsed = now.steady - self._last_beat
        if elapsed < _BEAT_S:
            return
        pids = sorted({pid, *descendants(pid), *descendants(os.getpid())})
        used, memory = cpu_seconds(pids), memory_bytes(pids)
        self._peak = max(self._peak, memory)
        busy = self._seen and used - self._seen[0] > _BUSY * elapsed
        seen = (used, float(_size(self.folder.log)), float(_size(self.folder.metrics)))
        if busy or not self._seen or seen[1:] != self._seen[1:]:
            self._life = now
        share = (used - self._seen[0]) / elapsed if self._seen else 0.0
        self._seen, self._last_beat = seen, now.steady
        content = {
            "at": dataclasses.asdict(now),
            "life": dataclasses.asdict(self._life),
            "cores": round(max(share, 0.0), 2),
            "memory_gb": round(memory / 1e9, 3),
            "peak_memory_gb": round(self._peak / 1e9, 3),
        }
        with contextlib.suppress(OSError):  # a full disk must not end the watch
            write_quick(self.folder, "heartbeat.json", content)

    def _finish(self, returncode: int) -> int:
        reason = self._wish.reason
        if reason == "time limit" and returncode and self.job.resources.is_requeued:
            reason = "requeue"
        if self._is_folder_gone():
            return returncode
        self._log(f"ended with code {returncode}{f' after {reason}' if reason else ''}")
        at = Moment.now()
        self._reserve.write(
            {
                "returncode": returncode,
                "reason": reason if returncode else "",
                "restarts": self._restarts,
                "at": dataclasses.asdict(at),
                "seconds": round(at.steady - self._started.steady, 1),
                "peak_memory_gb": round(self._peak / 1e9, 3),
            }
        )
        if reason == "requeue":
            self._requeue()
        return returncode if returncode >= 0 else 128 - returncode

    def _requeue(self) -> None:
        """Ask Slurm to start the job again, which continues from its checkpoint."""
        job_id = os.environ.get("SLURM_JOB_ID", "")
        if not job_id.isdigit():
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scontrol", "requeue", job_id], timeout=30, check=False)  # noqa: S603, S607  a number


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _step_back(pid: int) -> None:
    """Let a command yield the processor to the people at this machine, and to the app that shows its progress."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, pid)))
    # Where Linux groups processes by session, priorities count only within a group, and the group has its own.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICENESS), encoding="ascii")


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def detach() -> bool:
    """Fork into a session of its own; return True in the child.

    The parent may then end, and nobody has to wait for the child: its parent is init.
    """
    if os.fork():
        return False
    os.setsid()
    _leave_streams()
    return True


def stand_by() -> int:
    """Wait for a job's folder on standard input, with a process ready to run it; end if none comes."""
    if os.fork():
        return 0  # nobody has to wait for the child: its parent is init
    os.setsid()
    waiting = WaitingCommand(REPOSITORY_DIR)
    line = os.read(0, 8192).strip() if select.select([0], [], [], WAIT_S)[0] else b""
    if not line:
        waiting.drop()
        return 0
    try:
        os.write(1, b"t")  # taken; fails if the server no longer waits for it
    except OSError:
        waiting.drop()
        return 1
    folder = JobFolder(Path(os.fsdecode(line)))
    os.environ["GALSPEC_HOME"] = str(folder.path.parents[1])
    supervisor = Supervisor(folder, waiting=waiting)
    supervisor.prepare()
    with contextlib.suppress(OSError):
        os.write(1, b"a")  # announced
    _leave_streams()
    return supervisor.run()


def _leave_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def main(argv: list[str]) -> int:
    """Supervise the job of a folder; with ``--detach`` in the background, returning when it is announced.

    With ``--adopt`` no command is started: the one that runs already is looked after.
    """
    if argv == ["--standby"]:
        return stand_by()
    folder = JobFolder(Path(argv[0]).resolve())
    # This process works in another folder than whoever submitted: the default workspace would be another one.
    os.environ["GALSPEC_HOME"] = str(folder.path.parents[1])
    if "--detach" not in argv[1:]:
        supervisor = Supervisor(folder)
        supervisor.prepare()
        return supervisor.run()
    is_adopting = "--adopt" in argv[1:]
    reader, writer = os.pipe()
    if not detach():
        os.close(writer)
        return 0 if os.read(reader, 1) == b"1" else 1  # an empty read: the child died before it was announced
    os.close(reader)
    supervisor = Supervisor(folder)
    supervisor.prepare(is_announced=not is_adopting)
    os.write(writer, b"1")
    os.close(writer)
    return supervisor.adopt() if is_adopting else supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
