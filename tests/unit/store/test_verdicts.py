"""Verdicts: saved at once, never lost, whoever else writes and whatever crashes."""

import json
import math
import multiprocessing
import os
from pathlib import Path

import pytest

from galspec.core.errors import VerdictError
from galspec.core.home import home_dir
from galspec.store.verdicts import (
    FLAGS,
    Verdict,
    read_verdicts,
    save_verdict,
    verdict_columns,
    verdicts_path,
)


def test_the_last_verdict_counts_and_the_history_stays():
    save_verdict("demo", Verdict("g1", score=2, author="AB"))
    save_verdict("demo", Verdict("g2", score=0))
    save_verdict("demo", Verdict("g1", score=5, flags=("merger",), note="zwei Kerne, z≈0.1\nnew line", author="CD"))
    log = read_verdicts("demo")
    assert log.n_damaged == 0
    assert [(v.galaxy_id, v.score) for v in log.entries] == [("g1", 2), ("g2", 0), ("g1", 5)]
    assert log.latest["g1"].note == "zwei Kerne, z≈0.1\nnew line"
    assert log.latest["g1"].flags == ("merger",)
    assert [v.author for v in log.history("g1")] == ["AB", "CD"]
    assert log.history("g1")[0].time <= log.history("g1")[1].time
    assert log.latest["g1"].time.endswith("+00:00")
    assert read_verdicts("other").entries == ()


def test_a_verdict_can_be_taken_back():
    save_verdict("demo", Verdict("g1", score=3))
    save_verdict("demo", Verdict("g1"))
    log = read_verdicts("demo")
    assert "g1" not in log.latest
    assert len(log.history("g1")) == 2


def test_a_torn_last_line_costs_only_itself():
    save_verdict("demo", Verdict("g1", score=3))
    path = verdicts_path("demo")
    with path.open("ab") as handle:
        handle.write(Verdict("g2", score=4).line[:25])
    assert (len(read_verdicts("demo").entries), read_verdicts("demo").n_damaged) == (1, 1)
    save_verdict("demo", Verdict("g3", score=5))
    log = read_verdicts("demo")
    assert [v.galaxy_id for v in log.entries] == ["g1", "g3"]
    assert log.n_damaged == 1


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b'"text"',
        b'{"v": 2, "id": "g"}',
        b'{"v": 1, "id": "g", "score": 9, "flags": [], "note": "", "author": "", "time": ""}',
        b'{"v": 1, "id": "g", "score": true, "flags": [], "note": "", "author": "", "time": ""}',
        b'{"v": 1, "id": 7, "score": 1, "flags": [], "note": "", "author": "", "time": ""}',
        b'{"v": 1, "id": "g", "score": 1, "flags": 3, "note": "", "author": "", "time": ""}',
        b'{"v": 1, "id": "g", "score": 1, "flags": [[]], "note": null, "author": "", "time": ""}',
        b"[" * 100_000,
    ],
)
def test_lines_that_are_no_verdicts_are_counted(line):
    path = verdicts_path("demo")
    path.parent.mkdir(parents=True)
    path.write_bytes(line + b"\n\n" + Verdict("g1", score=1).line)
    log = read_verdicts("demo")
    assert [v.galaxy_id for v in log.entries] == ["g1"]
    assert log.n_damaged == 1


def test_a_flag_of_a_later_version_is_passed_over():
    content = json.loads(Verdict("g1", score=1, flags=("merger",)).line)
    line = json.dumps({**content, "flags": ["merger", "from-the-future"], "more": 1}).encode()
    assert Verdict.from_line(line).flags == ("merger",)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"galaxy_id": ""}, "needs the id of a galaxy"),
        ({"score": 6}, "the score 6 is not allowed; give a whole number from 0 to 5"),
        ({"score": -1}, "the score -1 is not allowed"),
        ({"score": 2.5}, "the score 2.5 is not allowed"),
        ({"score": True}, "the score True is not allowed"),
        ({"flags": ("pretty",)}, "unknown flags pretty; the flags are interesting"),
        ({"note": "x" * 2001}, "the note has 2,001 characters"),
        ({"author": "x" * 17}, "the initials must be at most 16 printable characters"),
        ({"author": "A\nB"}, "the initials must be"),
    ],
)
def test_what_is_not_allowed_is_refused_before_it_is_written(parts, words):
    with pytest.raises(VerdictError, match=words):
        Verdict(**{"galaxy_id": "g1", **parts})


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", ".", "", "a/b", "a\\b", "a\0b", ".hidden", "ü" * 300, "a b", "\ud800"]
)
def test_no_survey_name_leads_out_of_the_folder(name):
    path = verdicts_path(name)
    assert path.parent == home_dir() / "verdicts"
    assert len(path.name) < 100
    save_verdict(name, Verdict("g1", score=1))
    assert read_verdicts(name).latest["g1"].score == 1
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_names_that_look_alike_do_not_share_a_file():
    names = ["a b", "a/b", "a-b", "a_b", "A b", "a  b"]
    assert len({verdicts_path(name) for name in names}) == len(names)
    assert verdicts_path("sim1").name == "sim1.jsonl"


def _write_many(home: str, author: str, n: int) -> None:
    os.environ["GALSPEC_HOME"] = home
    for index in range(n):
        save_verdict("demo", Verdict(f"g{index}", score=index % 6, note="note " * 300, author=author))


def test_two_writers_at_once_lose_nothing():
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(str(home_dir()), author, 60)) for author in ("AB", "CD")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    log = read_verdicts("demo")
    assert log.n_damaged == 0
    for author in ("AB", "CD"):
        own = [v for v in log.entries if v.author == author]
        assert [v.galaxy_id for v in own] == [f"g{index}" for index in range(60)]


def test_a_folder_that_cannot_be_written_is_one_sentence():
    home_dir().mkdir(parents=True)
    (home_dir() / "verdicts").write_text("a file in the way")
    with pytest.raises(VerdictError, match="the verdict on g1 could not be saved in"):
        save_verdict("demo", Verdict("g1", score=1))
    with pytest.raises(VerdictError, match="cannot be read"):
        read_verdicts("demo")


def test_a_full_disk_is_said_and_the_next_verdict_is_whole(monkeypatch):
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real_write(handle, data[:20]))
    with pytest.raises(VerdictError, match=r"only 20 of \d+ bytes were written"):
        save_verdict("demo", Verdict("g1", score=1))
    monkeypatch.setattr(os, "write", real_write)
    save_verdict("demo", Verdict("g2", score=2))
    assert list(read_verdicts("demo").latest) == ["g2"]


def test_columns_for_a_table():
    save_verdict("demo", Verdict("g2", score=4, flags=("merger", "interesting"), note="n", author="AB"))
    save_verdict("demo", Verdict("g3", note="only a note"))
    columns = verdict_columns(read_verdicts("demo"), ["g1", "g2", "g3"])
    assert math.isnan(columns["verdict_score"][0])
    assert columns["verdict_score"][1] == 4.0
    assert math.isnan(columns["verdict_score"][2])
    assert columns["verdict_flags"] == ["", "merger interesting", ""]
    assert columns["verdict_note"] == ["", "n", "only a note"]


def test_flags_have_words():
    assert all(FLAGS.values())
    assert not Path("verdicts").exists()  # nothing is written outside GALSPEC_HOME
