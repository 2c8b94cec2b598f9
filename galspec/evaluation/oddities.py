"""Does the novelty score find what is odd? Known oddities are injected into spectra, and found again or not."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from galspec.core.lines import line_by_name
from galspec.core.wavelength import LOGLAM_STEP, N_WAVE, wave_grid
from galspec.evaluation.vae_comparison import usable_rows
from galspec.models.bundle import VaeBundle
from galspec.models.novelty import SCORES, spectrum_novelty
from galspec.preprocess.spectra import is_encodable, spectrum_norms
from galspec.store.survey import Survey

Floats32 = NDArray[np.float32]
Spectra = tuple[Floats32, Floats32]
Injector = Callable[[np.random.Generator, Floats32, Floats32], Spectra]

_N_SPECTRA: Final = 1000
_SEED: Final = 12345
_C2_ANGSTROM_KELVIN: Final = 1.438777e8


def wrong_redshift(rng: np.random.Generator, flux: Floats32, ivar: Floats32) -> Spectra:
    """Shift each spectrum by 0.02-0.08 in ln(1 + z), either way: a line taken for another one."""
    shift = np.rint(rng.choice([-1, 1], len(flux)) * rng.uniform(0.02, 0.08, len(flux)) / (LOGLAM_STEP * np.log(10)))
    new_flux, new_ivar = np.zeros_like(flux), np.zeros_like(ivar)
    for row, pixels in enumerate(shift.astype(int)):
        source = np.arange(N_WAVE) - pixels
        inside = (source >= 0) & (source < N_WAVE)
        new_flux[row, inside], new_ivar[row, inside] = flux[row, source[inside]], ivar[row, source[inside]]
    return new_flux, new_ivar


def broad_lines(rng: np.random.Generator, flux: Floats32, ivar: Floats32) -> Spectra:
    """Add broad Balmer lines, 3,000-8,000 km/s wide (FWHM), 40-150 A of Halpha: a quasar in a galaxy."""
    wave, norm = wave_grid(), spectrum_norms(flux, ivar)
    added = flux.copy()
    for row in range(len(flux)):
        strength, fwhm = rng.uniform(40.0, 150.0), rng.uniform(3000.0, 8000.0)
        for name, ratio in (("Halpha", 1.0), ("Hbeta", 0.33), ("Hgamma", 0.15)):
            centre = line_by_name(name).wave_vac
            sigma = centre * fwhm / 2.3548 / 299792.458
            profile = np.exp(-0.5 * ((wave - centre) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
            added[row] += (norm[row] * strength * ratio * profile).astype(np.float32)
    return np.where(ivar > 0, added, flux), ivar


def sky_residual(rng: np.random.Generator, flux: Floats32, ivar: Floats32) -> Spectra:
    """Add the airglow that a failed sky subtraction leaves: 30 alternating lines over the reddest 250 pixels."""
    norm = spectrum_norms(flux, ivar)
    added = flux.copy()
    for row in range(len(flux)):
        has_data = np.flatnonzero(ivar[row] > 0)
        red = has_data[has_data > has_data[-1] - 250]
        hit = rng.choice(red, min(30, len(red)), replace=False)
        added[row, hit] += (norm[row] * rng.uniform(0.3, 0.8) * rng.choice([-1, 1], len(hit))).astype(np.float32)
    return added, ivar


def star(rng: np.random.Generator, flux: Floats32, ivar: Floats32) -> Spectra:
    """Replace the galaxy by a star of 3,200-12,000 K at an unrelated redshift, at the same signal to noise.

    Black body times the Balmer lines of hot stars or the TiO bands of cool ones: a caricature, enough to ask
    whether what is no galaxy is noticed.
    """
    wave, norm = wave_grid(), spectrum_norms(flux, ivar)
    replaced = flux.copy()
    for row in range(len(flux)):
        temperature = np.exp(rng.uniform(np.log(3200.0), np.log(12000.0)))
        # The frame of the star is not that of the redshift the galaxy had.
        own = wave * (1.0 + rng.uniform(0.02, 0.2))
        shape = 1.0 / (own**5 * np.expm1(_C2_ANGSTROM_KELVIN / (own * temperature)))
        if temperature > 6500.0:
            for name in ("Halpha", "Hbeta", "Hgamma", "Hdelta"):
                shape *= 1.0 - 0.55 * np.exp(-0.5 * ((own - line_by_name(name).wave_vac) / 12.0) ** 2)
        elif temperature < 4200.0:
            for head in (4954.0, 5448.0, 5847.0, 6158.0, 6651.0, 7053.0, 7589.0):
                shape *= 1.0 - 0.45 * np.exp(-np.maximum(own - head, 0.0) / 90.0) * (own > head)
        shape *= norm[row] / np.median(shape[(wave > 4200.0) & (wave < 6700.0)])
        sigma = np.divide(1.0, np.sqrt(ivar[row]), out=np.zeros(N_WAVE), where=ivar[row] > 0)
        replaced[row] = shape + sigma * rng.standard_normal(N_WAVE)
    return replaced, ivar


ODDITIES: Final[dict[str, Injector]] = {
    "wrong redshift": wrong_redshift,
    "broad lines": broad_lines,
    "sky residual": sky_residual,
    "star": star,
}


def measure_oddities(vae: VaeBundle, survey: Survey, split: str, n_spectra: int = _N_SPECTRA) -> dict[str, Any]:
    """Inject each oddity into spectra of a split that calibrated nothing, and count what is found.

    Parameters
    ----------
    vae : VaeBundle
        With a novelty calibration.
    survey : Survey
    split : str
        "valid" while something is still being chosen, "test" for the final word.
    n_spectra : int

    Returns
    -------
    dict
        "usual": share of untouched spectra with combined p below 0.1, 0.05 and 0.01, which should be just that;
        "oddities": by name the area under the ROC curve, the share found at p < 0.01, and which score found it.
    """
    rows = usable_rows(survey, split, n_spectra)
    flux, ivar = survey.spectra_block(rows)
    usual = spectrum_novelty(vae, flux, ivar)
    result: dict[str, Any] = {
        "split": split,
        "n": len(rows),
        "usual": {f"p<{level:g}": round(float((usual.p_combined < level).mean()), 4) for level in (0.1, 0.05, 0.01)},
        "oddities": {},
    }
    for name, inject in ODDITIES.items():
        odd_flux, odd_ivar = inject(np.random.default_rng(_SEED), flux, ivar)
        kept = is_encodable(odd_flux, odd_ivar)  # a shift can move too much out of the grid
        odd = spectrum_novelty(vae, odd_flux[kept], odd_ivar[kept])
        truth = np.repeat([0, 1], [len(rows), int(kept.sum())])
        found = odd.p_combined < 0.01
        by = np.bincount(odd.severity.argmax(axis=1), minlength=len(SCORES)) / kept.sum()
        result["oddities"][name] = {
            "auc": round(float(roc_auc_score(truth, -np.concatenate([usual.p_combined, odd.p_combined]))), 4),
            "found_at_1_percent": round(float(found.mean()), 4),
            "strongest_score": dict(zip(SCORES, by.round(3).tolist(), strict=True)),
        }
    return result
