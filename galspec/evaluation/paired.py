"""Are two networks different on the same galaxies? Paired bootstrap over galaxies, from stored errors."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import ConfigError, ShapeError
from galspec.core.files import atomic_path

Floats = NDArray[np.float64]

N_RESAMPLINGS: Final = 10_000
SEED: Final = 12345
_BLOCK: Final = 250
_PERCENT: Final = {"interval_68": (16.0, 84.0), "interval_95": (2.5, 97.5)}


def save_errors(path: Path, errors: Mapping[str, Floats], ids_sha256: Mapping[str, str]) -> None:
    """Write signed errors (N, D) of each split as float16, compressed, without pickle.

    float16 keeps 11 bits: a mean of squares over thousands of galaxies changes in its sixth digit.

    Raises
    ------
    ConfigError
        If an error is not finite, or beyond what float16 can hold (65,504 standard deviations).
    """
    with np.errstate(over="ignore"):  # becomes infinity, which is refused with the row's name
        stored: dict[str, Any] = {
            f"errors_{split}": np.asarray(values).astype(np.float16) for split, values in errors.items()
        }
    for name, values in stored.items():
        if not np.isfinite(values).all():
            raise ConfigError(f"{path.stem}: {name} holds values that are not finite: the network's training failed.")
    stored |= {f"ids_sha256_{split}": np.array(ids_sha256[split]) for split in errors}
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, **stored)


def load_errors(path: Path, split: str) -> tuple[Floats, str]:
    """Read the signed errors (N, D) of a split, and the SHA-256 of its galaxies' ids.

    Raises
    ------
    ConfigError
        If the file is missing or damaged, or the split was not measured.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if f"errors_{split}" not in stored:
                raise ConfigError(f"{path.stem!r} was not measured on the {split} split; measure it once more.")
            return stored[f"errors_{split}"].astype(np.float64), str(stored[f"ids_sha256_{split}"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"the errors {path} cannot be read ({error}); measure this row once more.") from None


def galaxy_errors(paths: Iterable[Path], split: str) -> tuple[Floats, str]:
    """Return each galaxy's squared error, mean over latents and over networks (seeds), (N,), with the ids' SHA-256.

    Raises
    ------
    ConfigError
        If a file cannot be used, there is none, or they are of different galaxies.
    """
    found = [load_errors(path, split) for path in paths]
    if len({sha for _, sha in found}) != 1:
        raise ConfigError("the networks were measured on different galaxies, or none was; measure them once more.")
    return np.mean([(errors**2).mean(axis=1) for errors, _ in found], axis=0), found[0][1]


def paired_bootstrap(
    first: Floats, second: Floats, n_resamplings: int = N_RESAMPLINGS, seed: int = SEED
) -> dict[str, Any]:
    """Compare the mean errors of two networks on the same galaxies.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
        Squared errors by galaxy, in the same order.
    n_resamplings : int
    seed : int

    Returns
    -------
    dict
        ``difference`` = mean of first - second (negative: the first is better), ``standard_error``, ``interval_68``,
        ``interval_95`` (percentiles of resampled differences), ``share_order_flips``: resamplings in which the
        difference has the other sign or is zero, None if the difference itself is zero; ``n``, ``n_resamplings``.

    Raises
    ------
    ShapeError
        If the two do not match or are empty.

    Notes
    -----
    Galaxies are drawn with replacement (Efron 1979), the pair of errors of a galaxy together: what both networks
    find hard cancels. It tells nothing of the spread of seeds.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ShapeError(f"paired errors must be two (N,), got {first.shape} and {second.shape}.")
    gap = first - second
    difference = float(gap.mean())
    rng = np.random.default_rng(seed)
    sizes = [min(_BLOCK, n_resamplings - start) for start in range(0, n_resamplings, _BLOCK)]
    means = np.concatenate([gap[rng.integers(0, len(gap), (size, len(gap)))].mean(axis=1) for size in sizes])
    flips = float((means * np.sign(difference) <= 0).mean()) if difference else None
    intervals = {name: np.percentile(means, percent).round(5).tolist() for name, percent in _PERCENT.items()}
    return {
        "difference": round(difference, 5),
        "standard_error": round(float(means.std()), 5),
        **intervals,
        "share_order_flips": flips,
        "n": len(gap),
        "n_resamplings": n_resamplings,
    }
