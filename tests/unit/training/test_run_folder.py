import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from galspec.core.errors import RunError
from galspec.training.blocks import create_array, run_blocks, write_rows
from galspec.training.memory import keep_freed_memory
from galspec.training.run_folder import RunFolder, RunStopped, require_same, stop_on_signals


def test_sigterm_is_a_request_to_stop_and_old_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) is before


def test_second_ctrl_c_interrupts_at_once():
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("raised", "state", "reason"),
    [
        (None, "finished", ""),
        (RunStopped("asked"), "stopped", "asked"),
        (ValueError("bad"), "failed", "ValueError: bad"),
    ],
)
def test_exit_record_says_how_the_run_ended(tmp_path: Path, raised: Exception | None, state: str, reason: str):
    folder = RunFolder(tmp_path / "run")

    def go() -> None:
        with folder.exit_record() as facts:
            facts["scores"] = {"valid_mse": 0.5}
            if raised:
                raise raised

    if raised:
        with pytest.raises(type(raised)):
            go()
    else:
        go()
    record = json.loads((tmp_path / "run" / "exit.json").read_text())
    assert (record["state"], record["reason"], record["scores"]) == (state, reason, {"valid_mse": 0.5})


def test_line_cut_off_by_a_crash_is_left_out(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.record({"kind": "epoch", "step": 1})
    folder.record({"kind": "epoch", "step": 2})
    with folder.metrics_path.open("a") as handle:
        handle.write('{"kind": "ep')
    assert [row["step"] for row in folder.rows()] == [1, 2]
    folder.keep_rows(lambda row: row["step"] <= 1)
    assert [row["step"] for row in folder.rows()] == [1]


def test_each_differing_setting_is_named(tmp_path: Path):
    with pytest.raises(RunError, match=r"seed is 1 there and 2 here; model is not set there and 'a' here"):
        require_same({"seed": 1}, {"seed": 2, "model": "a"}, tmp_path)


class FillBlock:
    """Writes the block's number into its two rows; fails once on block 2."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, block: int) -> None:
        if block == 2 and not (self.folder / "failed").exists():
            (self.folder / "failed").touch()
            raise OSError("disk full")
        write_rows(self.folder / "a.npy", 2 * block, np.full((2, 3), block, np.float32))


def test_blocks_continue_after_a_fault(tmp_path: Path):
    create_array(tmp_path / "a.npy", (8, 3), "float32")
    with pytest.raises(OSError, match="disk full"):
        run_blocks(FillBlock(tmp_path), 4, tmp_path / "done", 1)
    seen: list[tuple[int, int]] = []
    run_blocks(FillBlock(tmp_path), 4, tmp_path / "done", 1, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    assert seen[0][0] >= 2
    create_array(tmp_path / "a.npy", (8, 3), "float32")  # keeps what is there
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[:, 0], [0, 0, 1, 1, 2, 2, 3, 3])


def test_allocator_setting_answers_without_raising():
    assert keep_freed_memory() in (True, False)


def test_damaged_rows_are_passed_over(tmp_path):
    folder = RunFolder(tmp_path)
    folder.record({"step": 1})
    with folder.metrics_path.open("ab") as handle:
        handle.write(b"\xff not json\n[1]\n")
    folder.record({"step": 2})
    assert [row["step"] for row in folder.rows()] == [1, 2]
    folder.keep_rows(lambda row: row["step"] < 2)
    assert [row["step"] for row in folder.rows()] == [1]
