"""What a job is: a command, where it is to run, and what it was made from; job.json."""

import dataclasses
import re
from typing import Any, Final

from galspec.core.errors import JobError

#: Of job.json.
VERSION: Final = 1
BACKENDS: Final = ("local", "slurm")
DEVICES: Final = ("auto", "cpu", "gpu")
#: Commands of galspec that may be jobs.
VERBS: Final = ("train", "simulate", "predict")

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
#: What Slurm's names consist of; nothing that a shell or an #SBATCH line could misread.
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:-]{0,99}")
_LIMITS: Final = {
    "processes": (1, 64),
    "nodes": (1, 256),
    "cpus": (0, 1024),
    "memory_gb": (0, 16384),
    "time_min": (0, 60 * 24 * 60),
}


def require_name(name: str) -> str:
    """Return a job's name, or refuse it.

    Raises
    ------
    JobError
        If it holds anything but small letters, digits, dots and hyphens, or is empty or longer than 40.
    """
    if not _NAME.fullmatch(name):
        raise JobError(
            f"{name[:60]!r} is no name: use 1 to 40 small letters, digits, dots and hyphens, a letter or digit first.",
            "name",
        )
    return name


def is_job_id(text: str) -> bool:
    """Return True if a text can be a job's id, and with that the name of its folder: no slash, no dot in front.

    Examples
    --------
    >>> is_job_id("20260101-120000-hybrid-1a2b"), is_job_id("../runs"), is_job_id(".trash")
    (True, False, False)
    """
    return _ID.fullmatch(text) is not None


@dataclasses.dataclass(frozen=True)
class Resources:
    """Where a job runs and what it may use.

    Parameters
    ----------
    backend : str
        "local" or "slurm".
    device : str
        "auto" (a GPU if there is one), "cpu" or "gpu".
    processes : int
        Processes a node that train together, one a GPU; other commands run as one process.
    nodes : int
        Machines; more than one needs Slurm.
    cpus : int
        Cores a node that Slurm shall give; 0 = Slurm's default.
    memory_gb : int
        Memory a node that Slurm shall give, GB; 0 = Slurm's default.
    time_min : int
        Time limit in Slurm, minutes; 0 = the partition's.
    partition, account, gres : str
        As in sbatch; empty = Slurm's default. ``gres`` for example ``gpu:a100:2``.
    is_requeued : bool
        Let Slurm start the job again after preemption, a failed node or the time limit; it continues from its
        checkpoint.

    Raises
    ------
    JobError
        If a value is outside its range; its ``field`` names it.
    """

    backend: str = "local"
    device: str = "auto"
    processes: int = 1
    nodes: int = 1
    cpus: int = 0
    memory_gb: int = 0
    time_min: int = 0
    partition: str = ""
    account: str = ""
    gres: str = ""
    is_requeued: bool = True

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise JobError(f"{self.backend!r} is none of {', '.join(BACKENDS)}.", "backend")
        if self.device not in DEVICES:
            raise JobError(f"{self.device!r} is none of {', '.join(DEVICES)}.", "device")
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise JobError(f"{value!r} is not a whole number from {low} to {high}.", name)
        for name in ("partition", "account", "gres"):
            value = getattr(self, name)
            if value and not _WORD.fullmatch(value):
                raise JobError(f"{value[:60]!r} holds characters that Slurm's names do not have.", name)
        if self.backend == "local" and self.nodes > 1:
            raise JobError(f"{self.nodes} machines need the backend slurm; this machine is one.", "nodes")

    @property
    def n_processes(self) -> int:
        """Processes of all nodes together."""
        return self.processes * self.nodes


@dataclasses.dataclass(frozen=True)
class Job:
    """One job as job.json keeps it.

    Parameters
    ----------
    id : str
        Also the name of its folder.
    name : str
    argv : tuple of str
        What follows ``python -m galspec``.
    resources : Resources
    settings : dict
        Settings of the command, for comparing jobs and for filling a form.
    created : float
        Seconds since 1970.
    environment : dict
        Machine, versions and commit that it was submitted with.
    cloned_from : str
        Id of the job it is a copy of, or empty.
    program : tuple of str
        Words before ``argv``; empty = this Python with ``-m galspec``.
    """

    id: str
    name: str
    argv: tuple[str, ...]
    resources: Resources
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    created: float = 0.0
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    cloned_from: str = ""
    program: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What it does in one or two words: "train cnn", "simulate"."""
        n_words = 2 if self.argv[:1] == ("train",) else 1
        return " ".join(self.argv[:n_words])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of job.json."""
        return {"format": "galspec-job", "version": VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Job":
        """Read the content of job.json.

        Raises
        ------
        JobError
            If it is of another version or not a job.
        """
        version = values.get("version")
        if version != VERSION:
            raise JobError(
                f"the job was written by another galspec: its version is {version!r}, this one reads {VERSION}. "
                "Look after it with the galspec that wrote it.",
                "version",
            )
        try:
            names = {field.name for field in dataclasses.fields(cls)}
            found = {name: value for name, value in values.items() if name in names}
            found |= {"argv": tuple(map(str, values["argv"])), "program": tuple(map(str, values.get("program", ())))}
            return cls(**{**found, "resources": Resources(**values["resources"])})
        except (KeyError, TypeError, ValueError) as error:
            raise JobError(f"job.json is damaged ({error!r}).") from None
