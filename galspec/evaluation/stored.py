"""Result files: JSON that a command writes and a report reads, with what made it."""

import dataclasses
import datetime
import json
import math
import os
import platform
from pathlib import Path
from typing import Any, Final

import torch

from galspec import __version__
from galspec.core.errors import ConfigError
from galspec.core.files import write_json
from galspec.core.home import REPOSITORY_DIR

RESULTS_DIR: Final = REPOSITORY_DIR / "docs" / "results"


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """One kind of result file.

    Parameters
    ----------
    what : str
        What messages call it: "VAE report".
    made_by : str
        The command that makes it, and what its arguments are.
    format : str
        What its entry "format" says; empty for files without one.
    version : int
        Of the format.
    """

    what: str
    made_by: str
    format: str = ""
    version: int = 1

    def head(self) -> dict[str, Any]:
        """Return the entries that every file of this kind begins with."""
        return {"format": self.format, "version": self.version} if self.format else {}

    def read(self, path: Path) -> dict[str, Any]:
        """Read a file.

        Raises
        ------
        ConfigError
            If there is none, or it is not of this kind and version.
        """
        if not path.is_file():
            raise ConfigError(f"there is no {self.what} {path} yet; make it with {self.made_by}.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} cannot be read as a {self.what} ({error}); restore it or choose another --out."
            ) from None
        if not isinstance(content, dict) or any(content.get(key) != value for key, value in self.head().items()):
            raise ConfigError(
                f"{path} is no {self.what} of version {self.version}; restore it or choose another --out."
            )
        return content

    def read_or_start(self, path: Path, **entries: Any) -> dict[str, Any]:
        """Read a file, or return a new one with these entries.

        Raises
        ------
        ConfigError
            If the file exists and is not of this kind and version.
        """
        return self.read(path) if path.exists() else {**self.head(), **entries}

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """Write a file atomically; NaN and infinity become null."""
        write_json(path, finite(content))


def finite(content: Any) -> Any:
    """Return content with NaN and infinity as None: JSON knows neither."""
    if isinstance(content, dict):
        return {str(key): finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def run_facts(seconds: float) -> dict[str, Any]:
    """Return when and on what something was measured, and how long it took."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds, 1),
        "machine": {"platform": platform.platform(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"galspec": __version__, "python": platform.python_version(), "torch": torch.__version__},
    }
