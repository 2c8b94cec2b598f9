"""How far simulated cutouts are from real ones: noise and its correlation, profiles, colours, the network's view."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import BANDS, CUTOUT_SHAPE, CUTOUT_SIZE_PIX, N_BANDS, NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.core.errors import GalspecError, ImageError
from galspec.models.bundle import PredictorBundle
from galspec.readers.ps1 import read_ps1_band, read_ps1_cutout
from galspec.store.images import from_stored
from galspec.store.survey import Survey

Images = NDArray[np.float32]
Floats = NDArray[np.float64]

#: What PS1 stacks show: rms per pixel (counts/s at zero point 25) of the quietest fifth of 12 x 12 blocks.
RMS_RANGES: Final = {"g": (0.075, 0.095), "r": (0.08, 0.12), "i": (0.07, 0.145), "z": (0.22, 0.27), "y": (0.60, 0.80)}
#: Correlation of that noise between neighbours, next-but-one neighbours, and diagonal neighbours.
CORRELATION_RANGES: Final = {"lag1": (0.15, 0.19), "lag2": (-0.08, -0.02), "diagonal": (-0.08, -0.02)}
BLOCK_PIX: Final = 12
_QUIET_SHARE: Final = 0.2
_MIN_BLOCKS: Final = 25
#: Annuli of profiles, in half-light radii.
PROFILE_RADII: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5)
_SMALLEST_RADIUS_ARCSEC: Final = 4.0
_RING_PIX: Final = 2.0
_NEIGHBOURS: Final = 5
_G, _R, _I = (BANDS.index(band) for band in "gri")


@dataclasses.dataclass(frozen=True)
class RealGalaxy:
    """A galaxy whose PS1 files are in a folder.

    Parameters
    ----------
    name : str
        Of the folder.
    ra_deg, dec_deg : float
        ICRS.
    """

    name: str
    ra_deg: float
    dec_deg: float


#: Positions of the galaxies in the folder of real files; other folders are used around their frames' centres.
REAL_GALAXIES: Final = (
    RealGalaxy("NGC6928", 308.20896, 9.92675),
    RealGalaxy("stripe82_spiral", 27.95204, 0.26393),
)


def quiet_blocks(image: Images) -> Floats:
    """Return the quietest fifth of the blocks of 12 x 12 pixels of a band, each less its mean.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Any unit; NaN = no data, blocks with any are left out.

    Returns
    -------
    ndarray, shape (n, 12, 12), float64

    Raises
    ------
    ImageError
        If fewer than 25 blocks have data.
    """
    rows, columns = (size // BLOCK_PIX for size in image.shape)
    tiles = np.asarray(image[: rows * BLOCK_PIX, : columns * BLOCK_PIX], np.float64)
    blocks = tiles.reshape(rows, BLOCK_PIX, columns, BLOCK_PIX).transpose(0, 2, 1, 3).reshape(-1, BLOCK_PIX, BLOCK_PIX)
    blocks = blocks[np.isfinite(blocks).all(axis=(1, 2))]
    if len(blocks) < _MIN_BLOCKS:
        raise ImageError(
            f"only {len(blocks)} blocks of {BLOCK_PIX} x {BLOCK_PIX} pixels have data; noise needs {_MIN_BLOCKS}."
        )
    quiet = blocks[np.argsort(blocks.std(axis=(1, 2)))[: max(1, int(_QUIET_SHARE * len(blocks)))]]
    return np.asarray(quiet - quiet.mean(axis=(1, 2), keepdims=True))


def noise_statistics(image: Images) -> dict[str, float]:
    """Return rms and pixel correlations of a band's noise.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        nJy per pixel.

    Returns
    -------
    dict
        "rms" in counts/s at zero point 25; "lag1", "lag2", "diagonal" without unit.

    Raises
    ------
    ImageError
        If too little of the band has data.
    """
    quiet = quiet_blocks(image) / NJY_PER_COUNT_ZP25
    variance = float((quiet**2).mean())

    def correlation(one: Floats, other: Floats) -> float:
        return float((one * other).mean() / variance)

    return {
        "rms": float(np.sqrt(variance)),
        "lag1": 0.5 * (correlation(quiet[:, :, 1:], quiet[:, :, :-1]) + correlation(quiet[:, 1:], quiet[:, :-1])),
        "lag2": 0.5 * (correlation(quiet[:, :, 2:], quiet[:, :, :-2]) + correlation(quiet[:, 2:], quiet[:, :-2])),
        "diagonal": 0.5
        * (correlation(quiet[:, 1:, 1:], quiet[:, :-1, :-1]) + correlation(quiet[:, 1:, :-1], quiet[:, :-1, 1:])),
    }


def _noise_rows(images: list[Images]) -> dict[str, dict[str, list[float]]]:
    """Return each statistic by band over all images that have enough data in the band."""
    table: dict[str, dict[str, list[float]]] = {band: {} for band in BANDS}
    for image in images:
        for band, pixels in zip(BANDS, image, strict=True):
            try:
                found = noise_statistics(pixels)
            except ImageError:
                continue
            for name, value in found.items():
                table[band].setdefault(name, []).append(round(value, 4))
    return table


def measure_noise(real: list[Images], simulated: list[Images]) -> dict[str, Any]:
    """Compare the noise of real and simulated cutouts.

    Parameters
    ----------
    real, simulated : list of ndarray, shape (5, H, W)
        nJy per pixel; bands that are all NaN are left out.

    Returns
    -------
    dict
        By band: "real" values; "simulated" 5, 50 and 95 % points; "range" wanted, and "inside", the share of
        simulated cutouts whose rms lies in it. "correlation": medians over all bands, ranges, and whether they pass.
    """
    real_table, simulated_table = _noise_rows(real), _noise_rows(simulated)
    rms, correlation = {}, {}
    for band in BANDS:
        low, high = RMS_RANGES[band]
        values = np.array(simulated_table[band].get("rms", []))
        rms[band] = {
            "real": real_table[band].get("rms", []),
            "simulated": np.percentile(values, [5, 50, 95]).round(4).tolist() if values.size else [],
            "range": [low, high],
            "inside": round(float(((values > low) & (values < high)).mean()), 3) if values.size else 0.0,
        }
    for name, (low, high) in CORRELATION_RANGES.items():
        of_real = [value for band in BANDS for value in real_table[band].get(name, [])]
        of_simulated = [value for band in BANDS for value in simulated_table[band].get(name, [])]
        middle = float(np.median(of_simulated)) if of_simulated else float("nan")
        correlation[name] = {
            "real": of_real,
            "simulated": round(middle, 4),
            "range": [low, high],
            "pass": bool(low <= middle <= high),
        }
    return {"rms": rms, "correlation": correlation}


def half_light_radius(image: Images) -> float:
    """Return the radius of the circle round the centre that holds half the light, arcsec.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        NaN = no data.

    Notes
    -----
    The light of a ring is its area times its median pixel, which neighbours and stars hardly
    move; it ends where three rings in a row are no longer above zero, or at the frame's edge.
    """
    radius = _radius_map(image.shape) / PIXEL_SCALE_ARCSEC
    n_rings = int(min(image.shape) / 2 / _RING_PIX)
    index = (radius / _RING_PIX).astype(np.int64)
    order = np.argsort(index, axis=None, kind="stable")
    starts = np.searchsorted(index.ravel()[order], np.arange(n_rings + 1))
    values = np.asarray(image, np.float64).ravel()[order]
    rings = [values[low:high] for low, high in itertools.pairwise(starts)]
    light = np.array([np.nanmedian(ring) * len(ring) if np.isfinite(ring).any() else 0.0 for ring in rings])
    below = light <= 0.0
    ends = np.flatnonzero(below[:-2] & below[1:-1] & below[2:])
    growth = np.cumsum(np.clip(light[: ends[0] if ends.size else n_rings], 0.0, None))
    if growth.size == 0 or growth[-1] <= 0.0:
        return float(_RING_PIX * PIXEL_SCALE_ARCSEC)
    outer = _RING_PIX * np.arange(len(growth) + 1)
    return float(np.interp(0.5 * growth[-1], np.concatenate([[0.0], growth]), outer) * PIXEL_SCALE_ARCSEC)


def _radius_map(shape: tuple[int, ...]) -> Floats:
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in shape)
    return np.asarray(np.hypot(rows[:, None], columns[None, :]) * PIXEL_SCALE_ARCSEC)


def radial_profile(image: Images) -> dict[str, Any]:
    """Return surface brightness and colour in circles round the centre.

    Parameters
    ----------
    image : ndarray, shape (5, H, W)
        nJy per pixel.

    Returns
    -------
    dict
        "half_light_arcsec" in r; "radius" (middles of the annuli, half-light radii); "brightness": r, mag relative
        to the innermost annulus; "g_i": mag; "gradient": d(g-i)/d log10 r over 0.5-2 half-light radii, by least
        squares. NaN where the light is not positive.
    """
    half = half_light_radius(image[_R])
    radius = _radius_map(image.shape[1:]) / half
    middles, brightness, colour = [], [], []
    for low, high in itertools.pairwise(PROFILE_RADII):
        ring = (radius >= low) & (radius < high)
        g, r, i = (_median(image[band][ring]) for band in (_G, _R, _I))
        middles.append(0.5 * (low + high))
        brightness.append(-2.5 * np.log10(r) if r > 0 else np.nan)
        colour.append(-2.5 * np.log10(g / i) if g > 0 and i > 0 else np.nan)
    x, y = np.log10(middles), np.array(colour)
    used = np.isfinite(y) & (np.array(middles) >= 0.5) & (np.array(middles) <= 2.0)
    gradient = float(np.polyfit(x[used], y[used], 1)[0]) if used.sum() >= 3 else float("nan")
    return {
        "half_light_arcsec": round(half, 2),
        "radius": middles,
        "brightness": [round(float(value - brightness[0]), 3) for value in brightness],
        "g_i": [round(float(value), 3) for value in colour],
        "gradient": round(gradient, 3),
    }


def _median(values: Images) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")


def measure_profiles(real: dict[str, Images], simulated: list[Images]) -> dict[str, Any]:
    """Compare profiles of real galaxies with those of simulated ones that are resolved (half-light radius > 4").

    Parameters
    ----------
    real : dict of str to ndarray, shape (5, H, W)
        By name; nJy per pixel.
    simulated : list of ndarray, shape (5, 224, 224)
    """
    found = [radial_profile(image) for image in simulated if half_light_radius(image[_R]) >= _SMALLEST_RADIUS_ARCSEC]
    gradients = np.array([profile["gradient"] for profile in found])
    table = {name: np.array([profile[name] for profile in found]) for name in ("brightness", "g_i")}
    return {
        "real": {name: radial_profile(image) for name, image in real.items()},
        "n_simulated": len(found),
        "radius": [0.5 * (a + b) for a, b in itertools.pairwise(PROFILE_RADII)],
        "simulated": {
            name: np.nanpercentile(values, [16, 50, 84], axis=0).round(3).tolist() if len(values) else []
            for name, values in table.items()
        },
        "gradient": np.nanpercentile(gradients, [16, 50, 84]).round(3).tolist() if found else [],
    }


def measure_embedding(predictor: PredictorBundle, real: dict[str, Images], simulated: list[Images]) -> dict[str, Any]:
    """Return how far real galaxies lie from simulated ones in the features that the network's last layer reads.

    Parameters
    ----------
    predictor : PredictorBundle
    real : dict of str to ndarray, shape (5, 224, 224)
    simulated : list of ndarray, shape (5, 224, 224)

    Returns
    -------
    dict
        "real": mean distance of each to its five nearest simulated galaxies, over the median of the same distance
        among the simulated; 1 = like one of them. "simulated": 50, 95 and 99 % points of that ratio.
    """
    of_simulated = predictor.features(np.stack(simulated)).astype(np.float64)
    scale = of_simulated.std(axis=0) + 1e-9
    of_simulated /= scale

    def nearest(features: Floats, skip: int) -> float:
        distance = np.sort(np.linalg.norm(of_simulated - features, axis=1))
        return float(distance[skip : skip + _NEIGHBOURS].mean())

    among = np.array([nearest(features, 1) for features in of_simulated])
    typical = float(np.median(among))
    result = {}
    if real:
        for name, features in zip(real, predictor.features(np.stack(list(real.values()))) / scale, strict=True):
            result[name] = round(nearest(features, 0) / typical, 2)
    return {
        "real": result,
        "simulated": (np.percentile(among, [50, 95, 99]) / typical).round(2).tolist(),
        "n_simulated": len(simulated),
        "model_sha256": predictor.sha256,
    }


def read_real_images(folder: Path) -> dict[str, Images]:
    """Read the PS1 images of a folder of folders, whole frames.

    Parameters
    ----------
    folder : Path
        One folder a galaxy, one FITS file a band in it.

    Returns
    -------
    dict of str to ndarray, shape (5, H, W)
        nJy per pixel by name of the folder; a band without a file is NaN.

    Raises
    ------
    ImageError
        If there is no image in any of the folders, or a file is damaged.
    """
    found: dict[str, Images] = {}
    for galaxy in sorted(path for path in folder.glob("*") if path.is_dir()):
        bands = [read_ps1_band(path) for path in sorted(galaxy.glob("*.fits"))]
        if not bands:
            continue
        shape = np.min([band.flux_njy.shape for band in bands], axis=0)
        image = np.full((N_BANDS, *shape), np.nan, np.float32)
        for band in bands:
            image[BANDS.index(band.band)] = band.flux_njy[: shape[0], : shape[1]]
        found[galaxy.name] = image
    if not found:
        raise ImageError(
            f"{folder} holds no folder with PS1 FITS images; wanted is one folder a galaxy with one file a band."
        )
    return found


def read_real_cutouts(folder: Path) -> dict[str, Images]:
    """Return the cutouts (5, 224, 224) of the galaxies of `REAL_GALAXIES` that have all five bands."""
    cutouts = {}
    for galaxy in REAL_GALAXIES:
        try:
            cutout = read_ps1_cutout(sorted((folder / galaxy.name).glob("*.fits")), galaxy.ra_deg, galaxy.dec_deg)
        except GalspecError:
            continue  # a band is missing: there is nothing the network could be shown
        cutouts[galaxy.name] = cutout.flux_njy
    return cutouts


def frame_panels(image: Images, n_panels: int) -> list[Images]:
    """Cut a real frame into its middle and corners of 224 x 224 pixels, for a contact sheet; (5, 224, 224) each."""
    size = CUTOUT_SIZE_PIX
    rows, columns = image.shape[1:]
    if rows < size or columns < size:
        return []
    middle = ((rows - size) // 2, (columns - size) // 2)
    corners = [(0, 0), (rows - size, columns - size), (0, columns - size), (rows - size, 0)]
    starts = [middle, *[corner for corner in corners if rows >= 2 * size and columns >= 2 * size]]
    return [image[:, row : row + size, column : column + size] for row, column in starts[:n_panels]]


def simulated_cutouts(survey: Survey, n: int) -> list[Images]:
    """Render the first ``n`` galaxies of a survey, each (5, 224, 224) nJy."""
    found = []
    for start in range(0, min(n, len(survey)), 64):
        rows = np.arange(start, min(start + 64, n, len(survey)))
        found += [
            np.asarray(image, np.float32).reshape(CUTOUT_SHAPE) for image in from_stored(survey.images_block(rows))
        ]
    return found


def measure_images(real_dir: Path, survey: Survey, n_images: int, predictor: PredictorBundle | None) -> dict[str, Any]:
    """Compare the simulated images of a survey with real ones.

    Parameters
    ----------
    real_dir : Path
        Holds ps1/NAME/*.fits.
    survey : Survey
        Simulated.
    n_images : int
        How many of its galaxies, the first ones.
    predictor : PredictorBundle or None
        Network for the distances of the embedding; None leaves them out.

    Raises
    ------
    ImageError
        If there are no real images.
    """
    frames = read_real_images(real_dir / "ps1")
    simulated = simulated_cutouts(survey, n_images)
    result: dict[str, Any] = {
        "names": list(frames),
        "n_simulated": len(simulated),
        "noise": measure_noise(list(frames.values()), simulated),
        "profiles": measure_profiles(frames, simulated),
    }
    if predictor is not None:
        result["embedding"] = measure_embedding(predictor, read_real_cutouts(real_dir / "ps1"), simulated)
    return result
