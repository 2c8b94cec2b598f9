"""Which galspec made a result."""

import shutil
import subprocess

from galspec.core.home import REPOSITORY_DIR


def git_commit() -> str | None:
    """Return the commit of this galspec, with "-dirty" if files differ from it; None outside a clone."""
    git = shutil.which("git")
    if git is None or not (REPOSITORY_DIR / ".git").exists():
        return None
    words = [git, "-C", str(REPOSITORY_DIR), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words
    return done.stdout.strip() or None
