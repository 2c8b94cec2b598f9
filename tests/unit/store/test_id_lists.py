"""Lists of ids: named by their content, on disk, never trusted."""

import json

import pytest

from galspec.core.errors import IdListError
from galspec.core.home import home_dir
from galspec.store.id_lists import ids_of_list, list_name, read_ids, save_ids


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path))


def test_the_same_galaxies_have_the_same_name_in_any_order():
    name = save_ids(["b", "a", "a"], "by hand")
    assert name == list_name(["a", "b"])
    assert save_ids(["a", "b"], "another label") == name
    found = read_ids(name)
    assert found is not None
    assert found.ids == {"a", "b"}
    assert found.label == "by hand"


@pytest.mark.parametrize("name", ["", "../secret", "0123456789AB", "0" * 12, "0" * 11])
def test_what_is_no_list_is_none(name):
    assert ids_of_list(name) is None


def test_a_list_changed_by_hand_counts_as_none():
    name = save_ids(["a", "b"], "")
    path = home_dir() / "lists" / f"{name}.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"ids": ["a", "c"]}))
    assert read_ids(name) is None
    path.write_text("{")
    assert read_ids(name) is None
    assert save_ids(["a", "b"], "again") == name
    assert ids_of_list(name) == {"a", "b"}


@pytest.mark.parametrize("ids", [[], [""], ["a\nb"], ["x" * 201]])
def test_what_cannot_be_a_list_is_refused(ids):
    with pytest.raises(IdListError):
        save_ids(ids, "")


def test_a_folder_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("GALSPEC_HOME", str(blocked))
    with pytest.raises(IdListError, match="could not be saved"):
        save_ids(["a"], "")
