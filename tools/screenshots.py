"""Take the screenshots of README and docs: every page, light and dark, 1280 x 720."""

import argparse
import sys
from pathlib import Path
from typing import Any

REPOSITORY_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY_DIR))

from benchmarks.browser import INSTALL_CHROMIUM, browser_page, chromium_path, running_app  # noqa: E402

#: A face-on spiral of the demo survey: arms, H II regions and emission lines in one picture.
GALAXY = "sim1-00009921"
SHOTS = {
    "home": ("/", ".js-plotly-plot .scatterlayer path.js-line"),
    "browse": ("/browse?sort=r", ".gallery img"),
    "galaxy": ("/galaxy?id={galaxy}", ".js-plotly-plot .scatterlayer path.js-line"),
    "latents": ("/latents?from={galaxy}&lat=0.5,-1,0,0.3,0,0.25", "text=Nearest galaxies"),
}


def take(url: str, name: str, scheme: str, size: tuple[int, int], folder: Path, galaxy: str) -> Path:
    """Save one screenshot; wait until the page is drawn.

    Raises
    ------
    RuntimeError
        If the browser reports an error of the page.
    """
    address, selector = SHOTS[name]
    path = folder / f"{name}-{scheme}.png"
    with browser_page(*size, scheme=scheme) as page:
        page.set_default_timeout(90_000)
        page.goto(url + address.format(galaxy=galaxy))
        page.locator(selector).first.wait_for(state="attached")
        page.wait_for_timeout(2000)  # fonts and images
        page.screenshot(path=path)
        if page.errors:
            raise RuntimeError(f"{name}, {scheme}: {page.errors}")
    return path


def main() -> int:
    """Start the app, visit the pages, save the pictures."""
    parser: Any = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", help="survey folder (default: the demo)")
    parser.add_argument("--model", help="predictor bundle (default: the shipped one)")
    parser.add_argument("--galaxy", default=GALAXY)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--only", choices=SHOTS, action="append", help="page to visit (default: all)")
    parser.add_argument("--out", type=Path, default=REPOSITORY_DIR / "docs" / "images")
    args = parser.parse_args()
    if chromium_path() is None:
        sys.stderr.write(f"no chromium on this machine: {INSTALL_CHROMIUM}\n")
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    options = [
        item for name in ("survey", "model") for item in (f"--{name}", getattr(args, name)) if getattr(args, name)
    ]
    with running_app(*options) as (url, _):
        for name in args.only or SHOTS:
            for scheme in ("light", "dark"):
                path = take(url, name, scheme, (args.width, args.height), args.out, args.galaxy)
                sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
