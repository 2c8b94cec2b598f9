"""The commit that results carry."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from galspec.core import provenance


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed: apt-get install git")
def test_the_commit_is_that_of_a_clone_and_says_what_is_not_committed(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "REPOSITORY_DIR", tmp_path)
    assert provenance.git_commit() is None
    _git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "one")
    clean = provenance.git_commit()
    assert re.fullmatch(r"[0-9a-f]{12}", str(clean))
    (tmp_path / "file").write_text("two")
    assert provenance.git_commit() == f"{clean}-dirty"
