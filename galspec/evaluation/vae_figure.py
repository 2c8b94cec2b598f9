"""One page of figures of the VAE report; parts that were not measured leave their panels empty."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from galspec.evaluation.plotting import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    require_pyplot,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METHODS: Final = {"pca": BLACK, "nmf": "#999999", "ae": BLUE, "vae": VERMILION}
_LABELS: Final = {"pca": "PCA", "nmf": "NMF", "ae": "autoencoder", "vae": "InfoVAE"}
_SHIPPED: Final = {"shipped": PURPLE, "shipped_refined": GREEN}
_SHIPPED_LABELS: Final = {"shipped": "shipped VAE", "shipped_refined": "shipped VAE, latents refined"}
_LATENTS: Final = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY)
_N_LATENTS: Final = len(_LATENTS)


def draw_vae_report(report: dict[str, Any], path: Path) -> None:
    """Draw the report's parts on one page.

    Parameters
    ----------
    report : dict
        As `galspec.evaluation.vae_report.measure_parts` returns it.
    path : Path
        PNG to write.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    pyplot = require_pyplot("pass --no-figure")
    figure: Figure = pyplot.figure(figsize=(17, 18), layout="constrained")
    axes = figure.subplots(4, 3)
    parts = report["parts"]
    figure.suptitle("How well six numbers keep a spectrum, and what they mean")
    _draw(parts.get("comparison"), _draw_dimension, axes[0, 0], "all")
    _draw(parts.get("comparison"), _draw_dimension, axes[0, 1], "lines")
    _draw(parts.get("comparison"), _draw_classes, axes[0, 2])
    for index in range(_N_LATENTS):
        _draw(parts.get("meaning"), _draw_traversal, axes[1 + index // 3, index % 3], index)
    _draw(parts.get("meaning"), _draw_calibration, axes[3, 0])
    _draw(parts.get("meaning"), _draw_aggregate, axes[3, 1])
    _draw(parts.get("real"), _draw_real, axes[3, 2])
    save_figure(figure, path)


def _draw(part: dict[str, Any] | None, draw: Any, axes: "Axes", *arguments: Any) -> None:
    if part is None:
        axes.text(0.5, 0.5, "not measured yet", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    draw(axes, part, *arguments)


def _draw_dimension(axes: "Axes", part: dict[str, Any], region: str) -> None:
    for method, colour in _METHODS.items():
        table = part["methods"][method]
        dims = [int(name) for name in table]
        values = [table[str(n_dims)]["all"][region]["mean"] for n_dims in dims]
        spread = [table[str(n_dims)]["seed_sd"][region] for n_dims in dims]
        axes.errorbar(dims, values, spread, color=colour, marker="o", capsize=3, label=_LABELS[method])
    for name, colour in _SHIPPED.items():
        axes.plot(6, part[name]["all"][region]["mean"], "*", ms=14, color=colour, label=_SHIPPED_LABELS[name])
    axes.set_yscale("log")
    axes.set_xlabel("components or latents")
    axes.set_ylabel("chi squared a pixel, mean")
    where = {"all": "all pixels", "lines": "[O II], Hb-[O III], Na D, Ha-[N II]-[S II]"}[region]
    axes.set_title(f"{part['n_test']['all']} {part['source']} test spectra: {where}")
    axes.legend(fontsize=8)


def _draw_classes(axes: "Axes", part: dict[str, Any]) -> None:
    names = [name for name in part["shipped"] if name not in {"all", "seed_sd", "n_seeds"}]
    bars = {
        _LABELS[method] + " 6": (part["methods"][method].get("6"), colour) for method, colour in _METHODS.items()
    } | {_SHIPPED_LABELS[name]: (part[name], colour) for name, colour in _SHIPPED.items()}
    shown = {label: bar for label, bar in bars.items() if bar[0] is not None}
    width = 0.85 / len(shown)
    for shift, (label, (table, colour)) in enumerate(shown.items()):
        values = [table[name]["all"]["mean"] for name in names]
        axes.bar(
            np.arange(len(names)) + (shift - (len(shown) - 1) / 2) * width, values, width, color=colour, label=label
        )
    axes.set_xticks(np.arange(len(names)), [f"{name}\n({part['n_test'][name]})" for name in names], fontsize=8)
    axes.set_ylabel("chi squared a pixel, mean")
    axes.set_title(f"By class, {part['source']}")
    axes.legend(fontsize=8)


def _draw_traversal(axes: "Axes", part: dict[str, Any], index: int) -> None:
    content = part["traversals"]
    if index >= len(content["flux"]):
        axes.set_axis_off()
        return
    wave = np.array(content["wave"].split(), float)
    colours = np.linspace(0.0, 1.0, len(content["steps"]))
    for share, step, flux in zip(colours, content["steps"], content["flux"][index], strict=True):
        colour = (0.84 * share, 0.35 + 0.1 * (1 - share), 0.7 * (1 - share))  # from blue to vermilion
        label = f"{step:g} sd" if step in {-3, 0, 3} else None
        axes.plot(wave, np.array(flux.split(), float), color=colour, lw=0.9, label=label)
    axes.set_xlabel("Rest-frame wavelength, vacuum [Å]")
    axes.set_ylabel("flux / norm")
    axes.set_title(f"{part['names'][index]}  (decoder trained on {part['source']})", fontsize=9)
    axes.legend(fontsize=8)


def _draw_calibration(axes: "Axes", part: dict[str, Any]) -> None:
    bins = part["calibration"]["bins"]
    snr = [one["snr"] for one in bins]
    for index, colour in zip(range(len(part["names"])), _LATENTS, strict=False):
        axes.plot(snr, [one["ratio"][index] for one in bins], "o-", color=colour, label=f"L{index + 1}")
    axes.axhline(1.0, color="0.4", lw=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("S/N a grid pixel")
    axes.set_ylabel("stated / actual error of the latent")
    axes.set_title(f"{part['source']} spectra observed {part['calibration']['n_realisations']} times")
    axes.legend(fontsize=8, ncols=2)


def _draw_aggregate(axes: "Axes", part: dict[str, Any]) -> None:
    aggregate = part["aggregate"]
    edges = np.array(aggregate["histogram_edges"])
    centre = 0.5 * (edges[1:] + edges[:-1])
    axes.fill_between(centre, np.exp(-0.5 * centre**2) / np.sqrt(2.0 * np.pi), color="0.85", label="prior")
    for index, (density, colour) in enumerate(zip(aggregate["histogram"], _LATENTS, strict=False)):
        axes.step(centre, density, where="mid", color=colour, lw=1, label=f"L{index + 1}")
    axes.set_xlabel("raw latent")
    axes.set_ylabel("density")
    axes.set_title(f"Aggregate posterior of {part['n']} {part['source']} spectra")
    axes.legend(fontsize=8, ncols=2)


def _draw_real(axes: "Axes", part: dict[str, Any]) -> None:
    names = list(part["median"])
    values = [part["median"][name]["residual"]["counted"] or np.nan for name in names]
    colours = [GREEN if name == "shipped_refined" else PURPLE if name == "shipped" else "0.6" for name in names]
    axes.bar(np.arange(len(names)), values, color=colours)
    axes.set_xticks(np.arange(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_ylabel("|residual| / median flux, median")
    axes.set_title(f"{part['requirement']['n_counted']} REAL SDSS spectra, S/N >= 10, ZWARNING 0")
