"""Causes of failure in words, one case each."""

import pytest

from galspec.jobs.causes import cause_of_failure, first_traceback
from galspec.jobs.state import End

CASES = [
    (["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"], 1, "", "out of memory"),
    (
        ["galspec train: a batch of 128 galaxies does not fit into the memory of the cuda device (16 GB)"],
        2,
        "",
        "out of memory",
    ),
    (["RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory"], 1, "", "out of memory"),
    (["x"], 0, "OUT_OF_MEMORY", "out of memory"),
    (
        ["galspec train: the loss is nan in epoch 3 for the batch with sim1-1, ...; the last"],
        2,
        "",
        "loss is not finite",
    ),
    (["galspec train: the network predicts values that are not finite; lower max_lr"], 2, "", "loss is not finite"),
    (["OSError: [Errno 28] No space left on device"], 1, "", "disk full"),
    (["OSError: [Errno 27] File too large"], 1, "", "disk full"),
    (["OSError: [Errno 122] Disk quota exceeded: 'x'"], 1, "", "disk full"),
    (["FileNotFoundError: [Errno 2] No such file or directory: 'x/survey.json'"], 1, "", "missing data"),
    (["slurmstepd: error: *** JOB 7 CANCELLED AT 2026 DUE TO TIME LIMIT ***"], -15, "", "time limit"),
    (["anything"], -15, "TIMEOUT", "time limit"),
    (["working"], -9, "", "killed (SIGKILL): by someone, or by the system because memory ran out"),
    (["working"], 137, "", "killed (SIGKILL): by someone, or by the system because memory ran out"),
    (["working"], -11, "", "crashed (SIGSEGV)"),
    (["ValueError: bad", "2026-01-01 10:00:00 job ended with code 1"], 1, "", "ValueError: bad"),
    (["torch.foo.SomeError: a", "pandas.errors.ParserError: b"], 1, "", "pandas.errors.ParserError: b"),
    (["reading No space left.txt", "KeyError: 'x'"], 1, "", "KeyError: 'x'"),  # a name in passing is no cause
    (["nothing to see"], 3, "", "it ended with code 3 without saying why"),
    ([], 3, "", "it ended with code 3 without saying why"),
]


@pytest.mark.parametrize(("lines", "code", "word", "words"), CASES)
def test_the_cause_is_named(lines, code, word, words):
    assert cause_of_failure(End(code), lines, scheduler_word=word).words == words


def test_the_training_s_own_record_counts_when_the_log_is_silent():
    assert cause_of_failure(None, [], "RunError: the loss is inf in epoch 1").words == "loss is not finite"


def test_the_supervisor_s_time_limit_counts():
    assert cause_of_failure(End(130, "time limit"), ["ValueError: x"]).words == "time limit"


def test_the_first_traceback_is_cut_out():
    lines = ["a", "Traceback (most recent call last):", '  File "x"', "    y", "ValueError: z", "b"]
    assert first_traceback(lines) == lines[1:5]
    assert first_traceback(["a"]) == []


def test_a_cause_reads_as_sentences():
    text = str(cause_of_failure(End(1), ["OSError: [Errno 28] No space left on device"]))
    assert text.startswith("disk full. OSError: [Errno 28] No space left on device. Free space")
