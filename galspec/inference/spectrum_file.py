"""Write a predicted spectrum as FITS, ECSV or CSV, with its provenance, for astropy and specutils."""

from pathlib import Path
from typing import Any, Final

import astropy.units as u
import numpy as np
from astropy.io import ascii as astropy_ascii
from astropy.io import fits
from astropy.table import QTable

from galspec import __version__
from galspec.core.errors import ConfigError
from galspec.core.files import atomic_path
from galspec.core.wavelength import LOGLAM_STEP
from galspec.inference.predict import PredictedSpectrum

FORMATS: Final = (".fits", ".ecsv", ".csv")


def require_format(path: Path) -> str:
    """Return the suffix of an output file.

    Raises
    ------
    ConfigError
        If no spectrum can be written under this name.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"cannot write {path.name!r}: the name must end in {', '.join(FORMATS)}.")
    return suffix


def provenance_cards(spectrum: PredictedSpectrum) -> dict[str, tuple[Any, str]]:
    """Return FITS keywords that say what this spectrum is, each with its comment."""
    model = spectrum.model
    cards: dict[str, tuple[Any, str]] = {
        "OBJTYPE": ("PREDICTED", "predicted from an image, not observed"),
        "MODEL": (model["name"], "predictor bundle"),
        "MODELSHA": (model["sha256"], "SHA-256 of its weights"),
        "VAESHA": (model["vae_sha256"], "SHA-256 of its VAE"),
        "TRAINED": (model["trained_on"], "source of the training galaxies"),
        "BACKEND": (model["backend"], "what ran the network"),
        "INFMODE": (model["mode"], "exact = float32, fast = bfloat16"),
        "INFPREC": (model["precision"], "number format of its convolutions"),
        "INFDEV": (model["device"], "device that ran it"),
        "NSYMM": (model["n_symmetries"], "symmetries of the image averaged over"),
        "FRAME": ("REST", "frame of the wavelength column"),
        "AIRORVAC": ("vac", "vacuum wavelengths"),
        "FLUXNORM": ("median F_lambda in rest 4200-6700 A", "flux is divided by it"),
        "REDSHIFT": (
            spectrum.redshift if spectrum.redshift is not None else "none",
            "given by the user, not predicted",
        ),
        "CREATOR": (f"galspec {__version__}", "software"),
    }
    for index, value in enumerate(spectrum.latent, start=1):
        cards[f"LATENT{index}"] = (round(float(value), 5), "standardised latent")
    for index, text in enumerate(spectrum.warnings, start=1):
        cards[f"WARN{index}"] = (text, "")
    return cards


def to_table(spectrum: PredictedSpectrum) -> QTable:
    """Return the spectrum as an astropy table with units; observed wavelengths only with a redshift."""
    table = QTable()
    table["wavelength"] = spectrum.wave_rest * u.AA
    table["wavelength"].info.description = "rest frame, vacuum"
    table["flux"] = spectrum.flux * u.dimensionless_unscaled
    table["flux"].info.description = "predicted F_lambda / median(4200-6700 A)"
    if spectrum.wave_obs is not None:
        table["wavelength_observed"] = spectrum.wave_obs * u.AA
        table["wavelength_observed"].info.description = "observed frame, vacuum"
    table.meta = {key: value for key, (value, _) in provenance_cards(spectrum).items()}
    return table


def write_spectrum(spectrum: PredictedSpectrum, path: Path) -> None:
    """Write a predicted spectrum; the format follows the suffix (.fits, .ecsv, .csv).

    Raises
    ------
    ConfigError
        If the suffix is none of these.
    """
    suffix = require_format(path)
    table = to_table(spectrum)
    with atomic_path(path) as temporary:
        if suffix == ".fits":
            _write_fits(spectrum, table, temporary)
        elif suffix == ".ecsv":
            table.write(temporary, format="ascii.ecsv")
        else:
            comments = "".join(f"# {key}: {value}\n" for key, value in table.meta.items())
            units = "# units: wavelength Angstrom (rest frame, vacuum); flux dimensionless\n"
            with temporary.open("w", encoding="utf-8") as handle:
                handle.write(comments + units)
                astropy_ascii.write(_plain(table), handle, format="csv")


def _plain(table: QTable) -> QTable:
    return QTable({name: getattr(table[name], "value", table[name]) for name in table.colnames})


def _write_fits(spectrum: PredictedSpectrum, table: QTable, path: Path) -> None:
    plain = table.copy()
    plain.meta.clear()
    hdu = fits.table_to_hdu(plain)
    hdu.name = "SPECTRUM"
    # The same flux as a 1-D image with a logarithmic WCS: specutils reads a dimensionless flux from an image
    # (format "wcs1d-fits"), but not from a table.
    primary = fits.PrimaryHDU(spectrum.flux)
    start = float(spectrum.wave_rest[0])
    axis = {"CTYPE1": "WAVE-LOG", "CUNIT1": "Angstrom", "CRPIX1": 1.0, "CRVAL1": start}
    primary.header.update({**axis, "CDELT1": start * np.log(10.0) * LOGLAM_STEP, "BUNIT": ""})
    for header in primary.header, hdu.header:
        for key, (value, comment) in provenance_cards(spectrum).items():
            header[key] = (value, comment) if len(str(value)) + len(comment) < 60 else value
    fits.HDUList([primary, hdu]).writeto(path)
