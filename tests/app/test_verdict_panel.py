"""Galaxy: a verdict is on disk at once, comes back, and two readers lose nothing."""

import pytest

from galspec.core.home import home_dir
from galspec.store.verdicts import Verdict, read_verdicts, save_verdict

GALAXY = "sim1-00000031"


def _latest(galaxy_id: str = GALAXY) -> Verdict | None:
    return read_verdicts("toy").latest.get(galaxy_id)


def _captions(at) -> str:
    return "\n".join(element.value for element in at.caption)


def test_a_score_is_saved_at_once_and_shown_on_return(open_page):
    at = open_page("galaxy", id=GALAXY)
    assert "no verdict yet" in _captions(at)
    at.button(key="verdict_score_4").click().run()
    assert _latest().score == 4
    assert "saved" in _captions(at)
    at.button(key="galaxy_next").click().run()
    assert "no verdict yet" in _captions(at)
    again = open_page("galaxy", id=GALAXY)
    types = {score: again.button(key=f"verdict_score_{score}").proto.type for score in range(6)}
    assert [score for score, kind in types.items() if kind == "primary"] == [4]


def test_the_same_score_again_takes_it_back(open_page):
    at = open_page("galaxy", id=GALAXY)
    at.button(key="verdict_score_0").click().run()
    assert _latest().score == 0
    at.button(key="verdict_score_0").click().run()
    assert _latest() is None
    assert len(read_verdicts("toy").history(GALAXY)) == 2


def test_every_score_has_its_digit_as_key(open_page):
    at = open_page("galaxy", id=GALAXY)
    assert [at.button(key=f"verdict_score_{score}").proto.shortcut for score in range(6)] == list("012345")


def test_flags_note_and_initials_are_saved_and_come_back(open_page):
    at = open_page("galaxy", id=GALAXY)
    at.text_input(key="verdict_author").set_value("ab").run()
    at.multiselect(key=f"verdict_flags_{GALAXY}").set_value(["merger", "line-missed"]).run()
    at.text_input(key=f"verdict_note_{GALAXY}").set_value("two nuclei").run()
    verdict = _latest()
    assert (verdict.flags, verdict.note, verdict.author) == (("merger", "line-missed"), "two nuclei", "ab")
    again = open_page("galaxy", id=GALAXY)
    assert again.text_input(key=f"verdict_note_{GALAXY}").value == "two nuclei"
    assert again.multiselect(key=f"verdict_flags_{GALAXY}").value == ["merger", "line-missed"]


def test_two_readers_lose_nothing(open_page):
    first = open_page("galaxy", id=GALAXY)
    second = open_page("galaxy", id=GALAXY)
    first.text_input(key=f"verdict_note_{GALAXY}").set_value("from the first").run()
    second.button(key="verdict_score_5").click().run()  # its page did not show the note yet
    assert (_latest().score, _latest().note) == (5, "from the first")
    assert second.text_input(key=f"verdict_note_{GALAXY}").value == "from the first"
    first.multiselect(key=f"verdict_flags_{GALAXY}").set_value(["merger"]).run()
    assert (_latest().score, _latest().note, _latest().flags) == (5, "from the first", ("merger",))
    assert len(read_verdicts("toy").history(GALAXY)) == 3


def test_a_verdict_given_elsewhere_is_shown_at_the_next_run(open_page):
    at = open_page("galaxy", id=GALAXY)
    save_verdict("toy", Verdict(GALAXY, score=2, author="cd"))
    at.run()
    assert at.button(key="verdict_score_2").proto.type == "primary"
    assert "by cd" in _captions(at)


@pytest.fixture
def blocked_home(monkeypatch, tmp_path):
    """A home in which no folder can be made, because a file has its name."""
    (tmp_path / "blocked").mkdir()
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path / "blocked"))
    (tmp_path / "blocked" / "verdicts").write_text("in the way")
    return home_dir()


def test_what_cannot_be_saved_is_said_kept_and_saved_later(open_page, monkeypatch, blocked_home):
    import galspec.ui.verdict_panel as panel

    monkeypatch.setattr(panel, "read_verdicts", lambda name: panel.VerdictLog())  # reading works, writing does not
    at = open_page("galaxy", id=GALAXY)
    at.button(key="verdict_score_3").click().run()
    assert any("Not saved" in error.value and GALAXY in error.value for error in at.error)
    assert at.button(key="verdict_score_3").proto.type == "primary"
    (blocked_home / "verdicts").unlink()
    at.button(key="verdict_again").click().run()
    assert not at.error
    assert _latest().score == 3


def test_verdicts_that_cannot_be_read_are_one_sentence(open_page, blocked_home):
    at = open_page("galaxy", id=GALAXY)
    assert any("Verdicts cannot be shown or saved" in error.value for error in at.error)
    assert at.metric
