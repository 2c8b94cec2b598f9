"""A Slurm of one node on this machine, from Debian's slurm-wlm and munge, on the loopback address."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

INSTALL_SLURM = "apt-get install -y --no-install-recommends slurm-wlm munge"

_CONFIG = """\
ClusterName=galspectest
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=6
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={port}
SlurmdPort={port2}
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,requeue_delay=0
KillWait=5
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def _start(folder: Path, environment: dict[str, str]) -> None:
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    names = ("key-file", "socket", "pid-file", "log-file", "seed-file")
    files = ("munge.key", "munge.socket", "munged.pid", "munged.log", "munged.seed")
    options = [f"--{name}={folder / file}" for name, file in zip(names, files, strict=True)]
    for words in (["munged", "--force", *options], ["slurmctld"], ["slurmd", "-N", socket.gethostname().split(".")[0]]):
        subprocess.run(words, env=environment, check=True, capture_output=True, timeout=60)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False)
        if done.stdout.split() and set(done.stdout.split()) == {"idle"}:
            return
        time.sleep(0.1)
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
    raise RuntimeError(f"Slurm did not start: {done.stdout}{done.stderr}\n{logs}")


def _end(pid_file: Path) -> None:
    if not pid_file.is_file():
        return
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    if Path(f"/proc/{pid}").exists():
        os.kill(pid, signal.SIGKILL)


def why_no_slurm() -> str:
    """Return why no cluster can be started here; empty if one can."""
    if shutil.which("slurmctld") is None or shutil.which("munged") is None:
        return f"no Slurm on this machine: {INSTALL_SLURM}"
    return "a Slurm of one's own needs root" if os.geteuid() != 0 else ""


@contextlib.contextmanager
def one_node_slurm(folder: Path) -> Iterator[Path]:
    """Start a cluster in a folder; yield its slurm.conf, stop it by its process numbers."""
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    port, port2 = _free_ports()
    host = socket.gethostname().split(".")[0]
    config = folder / "slurm.conf"
    config.write_text(
        _CONFIG.format(host=host, user="root", folder=folder, port=port, port2=port2, cores=min(os.cpu_count() or 1, 2))
    )
    try:
        _start(folder, {**os.environ, "SLURM_CONF": str(config)})
        yield config
    finally:
        for name in ("slurmd", "slurmctld", "munged"):
            _end(folder / f"{name}.pid")
