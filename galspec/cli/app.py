"""`python -m galspec app`: open the app in a browser."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("--survey", type=Path, metavar="DIR", help="survey folder to show (default: the embedded demo)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="predictor bundle (default: the shipped hybrid)")
    parser.add_argument("--port", type=int, default=8501, help="port on this machine (default: 8501)")
    parser.add_argument("--headless", action="store_true", help="do not open a browser")


def command(port: int, headless: bool) -> list[str]:
    """Return the command that starts the server; it asks no question and reports to nobody."""
    from galspec.core.home import REPOSITORY_DIR

    options = {
        "server.port": str(port),
        "server.headless": str(headless).lower(),
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
    }
    script = str(REPOSITORY_DIR / "app.py")
    return [
        *(sys.executable, "-m", "galspec.ui.serve", "run", script),
        *(f"--{name}={value}" for name, value in options.items()),
    ]


def run(args: argparse.Namespace) -> NoReturn:
    """Check the folders, then become the server."""
    from galspec.core.errors import BundleError, ConfigError
    from galspec.core.home import REPOSITORY_DIR, home_dir

    environment = dict(os.environ)
    if not 1 <= args.port <= 65535:
        raise ConfigError(f"port {args.port} is not allowed; give a number in 1-65535.")
    if args.survey is not None:
        from galspec.store.layout import read_metadata

        read_metadata(args.survey)
        environment["GALSPEC_SURVEY"] = str(args.survey.resolve())
    elif environment.get("GALSPEC_SURVEY"):
        environment["GALSPEC_SURVEY"] = str(Path(environment["GALSPEC_SURVEY"]).resolve())
    if args.model is not None:
        if not (args.model / "model.json").is_file():
            raise BundleError(f"{args.model} is not a model bundle: it holds no model.json.")
        environment["GALSPEC_MODEL"] = str(args.model.resolve())
    environment["GALSPEC_HOME"] = str(home_dir())
    # Streamlit reads .streamlit/config.toml from the folder it is started in; it replaces this process,
    # so that a signal sent to `galspec app` reaches the server.
    os.chdir(REPOSITORY_DIR)
    arguments = command(args.port, args.headless)
    sys.stdout.flush()
    os.execve(arguments[0], arguments, environment)  # noqa: S606  # no shell, and nothing of the user's in it
