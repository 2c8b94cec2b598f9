"""Where things lie: shipped data (read-only) and the user's folder ``GALSPEC_HOME``."""

import os
from pathlib import Path

_PACKAGE_DIR = Path(__file__).resolve().parents[1]
REPOSITORY_DIR = _PACKAGE_DIR.parent


def home_dir() -> Path:
    """Return the user's folder: ``$GALSPEC_HOME``, else ``./workspace`` (not created here)."""
    return Path(os.environ.get("GALSPEC_HOME", "workspace")).expanduser().resolve()


def shipped_weights_dir() -> Path:
    """Return the folder of the bundles that come with galspec."""
    return REPOSITORY_DIR / "weights"


def demo_survey_dir() -> Path:
    """Return the folder of the embedded demo survey."""
    return _PACKAGE_DIR / "data" / "demo"


def cache_dir() -> Path:
    """Return the folder of files that a command can make again (spectral basis): ``.cache``."""
    return Path(os.environ.get("GALSPEC_CACHE", str(REPOSITORY_DIR / ".cache")))
