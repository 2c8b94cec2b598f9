"""What every figure starts and ends with: matplotlib without a screen, colours that all readers can tell apart."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from galspec.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of the palette of Okabe & Ito (2008).
VERMILION: Final = "#D55E00"
BLUE: Final = "#0072B2"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
BLACK: Final = "#000000"


def require_pyplot(way_out: str = "") -> Any:
    """Return matplotlib's pyplot, drawing without a screen.

    Parameters
    ----------
    way_out : str
        What to do instead of installing it: "pass --no-figure".

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        instead = f" or {way_out}" if way_out else ""
        raise ConfigError(
            f"figures need matplotlib, which is not installed; install it with `pip install matplotlib`{instead}."
        ) from error
    return pyplot


def save_figure(figure: "Figure", path: Path, dpi: int = 80) -> None:
    """Write a figure and free its memory; folders are made."""
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
    pyplot.close(figure)
