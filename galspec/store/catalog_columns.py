"""What the columns of a catalogue mean: units, UCDs and descriptions for tables of galaxies that leave galspec."""

import datetime
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec import __version__
from galspec.core.bands import BANDS
from galspec.core.lines import MEASURED_LINES, line_flux_column
from galspec.core.table_file import Column
from galspec.store import scores
from galspec.store.survey import Survey

_BAND_UCD: Final = {"g": "em.opt.B", "r": "em.opt.R", "i": "em.opt.I", "z": "em.opt.I", "y": "em.opt.I"}

#: column -> (unit, UCD, description)
MEANINGS: Final[dict[str, tuple[str, str, str]]] = {
    "id": ("", "meta.id;meta.main", "galaxy"),
    "group_id": ("", "meta.id.parent", "galaxies within 3 arcsec share it: repeat observations"),
    "split": ("", "meta.code", "train, valid, calibration or test"),
    "ra_deg": ("deg", "pos.eq.ra;meta.main", "right ascension, ICRS"),
    "dec_deg": ("deg", "pos.eq.dec;meta.main", "declination, ICRS"),
    "redshift": ("", "src.redshift", "spectroscopic redshift, heliocentric"),
    "galaxy_class": ("", "src.class", "SF, GV, Q or PSB, by construction"),
    "agn_class": ("", "src.class", "none, seyfert or liner, by construction"),
    "bpt_class": ("", "src.class", "class in the [NII] diagram (Kewley 2001, Kauffmann 2003)"),
    "log_mass": ("", "phys.mass", "log10 of the stellar mass in solar masses, true"),
    "sfr": ("solMass / yr", "phys.SFR", "star formation rate, true"),
    "log_ssfr": ("", "phys.SFR", "log10 of the specific star formation rate per year, true"),
    "ebv_mw": ("mag", "phot.color.excess", "E(B-V) of the Milky Way in front of it (SFD 1998); not corrected for"),
    "a_v": ("mag", "phys.absorption;em.opt.V", "dust attenuation of the stars, true"),
    "dust_slope": ("", "phys.absorption", "s of its attenuation, proportional to wavelength^-s, true"),
    "sigma_v": ("km / s", "phys.veloc.dispersion", "velocity dispersion of the stars, true"),
    "metallicity": ("", "phys.abund.Z", "log10 of the stars' mean metallicity in that of the Sun, true"),
    "dn4000_true": ("", "spect.index", "Dn4000 (Balogh et al. 1999), true"),
    "ew_ha_true": ("Angstrom", "spect.line.eqWidth", "EW(Halpha), rest frame, positive in emission, true"),
    "ew_ha_broad_true": (
        "Angstrom",
        "spect.line.eqWidth",
        "EW of the broad component of Halpha, rest frame, positive in emission, true",
    ),
    "log_n2": ("", "spect.line.intensity;arith.ratio", "log10 of [NII]6583 / Halpha, true"),
    "log_o3": ("", "spect.line.intensity;arith.ratio", "log10 of [OIII]5007 / Hbeta, true"),
    "log_s2": ("", "spect.line.intensity;arith.ratio", "log10 of [SII]6716,6731 / Halpha, true"),
    "log_o1": ("", "spect.line.intensity;arith.ratio", "log10 of [OI]6300 / Halpha, true"),
    "balmer_decrement": ("", "spect.line.intensity;arith.ratio", "Halpha / Hbeta, true, with the galaxy's own dust"),
    **{
        line_flux_column(name): (
            "1e-17 erg / (s cm2)",
            "spect.line.intensity",
            f"flux of {name} in the fibre, observed frame, narrow component, true",
        )
        for name in MEASURED_LINES
    },
    "snr_median": ("", "stat.snr", "median signal to noise of the spectrum's pixels"),
    "fibre_fraction_r": ("", "phot.flux;arith.ratio", "share of the r flux inside the 3 arcsec fibre"),
    "fibre_offset_x": ("arcsec", "instr.offset", "centre of the fibre from the galaxy's, along the image's columns"),
    "fibre_offset_y": ("arcsec", "instr.offset", "centre of the fibre from the galaxy's, along the image's rows"),
    "sdss_r": ("mag", "phot.mag;em.opt.R", "SDSS r magnitude, total, AB, without dust of the Milky Way"),
    "sdss_g_r_fibre": (
        "mag",
        "phot.color;em.opt.B;em.opt.R",
        "SDSS g - r in the 3 arcsec fibre, AB, without dust of the Milky Way",
    ),
    "survey_seed": ("", "meta.id", "seed that the galaxy was simulated with"),
    "candidate": ("", "meta.id", "number of the galaxy among the draws of its seed"),
    **{f"mag_{b}": ("mag", f"phot.mag;{_BAND_UCD[b]}", f"{b} magnitude, total, AB") for b in BANDS},
    **{f"apmag_{b}": ("mag", f"phot.mag;{_BAND_UCD[b]}", f"{b} magnitude in 3 arcsec, AB") for b in BANDS},
    "latent_rmse": ("", "stat.error", scores.COLUMNS["latent_rmse"]),
    "rmse_predicted": ("", "stat.error", scores.COLUMNS["rmse_predicted"]),
    "rmse_vae": ("", "stat.error", scores.COLUMNS["rmse_vae"]),
    "rmse_ratio": ("", "stat.error;arith.ratio", scores.COLUMNS["rmse_ratio"]),
    "rmse_to_vae": ("", "stat.error", scores.COLUMNS["rmse_to_vae"]),
    "chi2_predicted": ("", "stat.fit.chi2", scores.COLUMNS["chi2_predicted"]),
    "chi2_vae": ("", "stat.fit.chi2", scores.COLUMNS["chi2_vae"]),
    "flag": ("", "meta.code.qual", scores.COLUMNS["flag"]),
    **{
        name: ("", "stat.probability" if name.startswith("p_") else "stat.rank", text)
        for name, text in scores.NOVELTY_COLUMNS.items()
    },
    "verdict": ("", "meta.code", "whether a reader has given a verdict: given or none"),
    "verdict_score": ("", "meta.code.qual", "score given by a reader, 0 to 5"),
    "verdict_flags": ("", "meta.code", "flags given by a reader"),
    "verdict_note": ("", "meta.note", "note of a reader"),
    "verdict_author": ("", "meta.id.PI", "initials of the reader"),
    "verdict_time": ("", "time.creation", "when the verdict was given, UTC"),
}
_LATENT: Final = re.compile(r"latent_(observed_)?(\d+)")


def meaning(column: str) -> tuple[str, str, str]:
    """Return unit, UCD and description of a column; empty where galspec does not know it.

    Examples
    --------
    >>> meaning("latent_observed_2")
    ('', 'stat.param', 'latent 2 of the observed spectrum, standardised')
    """
    latent = _LATENT.fullmatch(column)
    if latent:
        of_what = "of the observed spectrum" if latent[1] else "predicted from the image"
        return "", "stat.param", f"latent {latent[2]} {of_what}, standardised"
    return MEANINGS.get(column, ("", "", ""))


def galaxy_columns(table: pd.DataFrame, rows: NDArray[np.int64], names: Sequence[str] | None = None) -> list[Column]:
    """Return galaxies of a catalogue as columns for `galspec.core.table_file.write_table`.

    Parameters
    ----------
    table : DataFrame
        A survey's catalogue, with scores or verdicts joined to it or not.
    rows : ndarray of int
        Which galaxies, in which order.
    names : sequence of str, optional
        Which columns; those the table lacks are left out. All of them if None.
    """
    chosen = [name for name in (table.columns if names is None else names) if name in table]
    return [Column(name, table[name].to_numpy()[rows], *meaning(name)) for name in chosen]


def galaxy_facts(
    survey: Survey,
    n_galaxies: int,
    *,
    query: str = "",
    sort: str = "",
    link: str = "",
    model: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what a reader of a table of galaxies must know.

    Parameters
    ----------
    survey : Survey
    n_galaxies : int
        In the table.
    query, sort : str
        The filter and the order that made it.
    link : str
        Address of the page that shows the same.
    model : dict, optional
        `ScoreTable.provenance`, if the table holds scores.
    """
    facts: dict[str, Any] = {
        "survey": survey.name,
        "source": survey.source,
        "catalog_sha256": survey.data_hash,
        "n_galaxies": n_galaxies,
        "n_survey": len(survey),
        "filter": query or "none",
        "order": sort or "survey order",
        "creator": f"galspec {__version__}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if survey.source == "SIMULATED":
        facts["note"] = "simulated galaxies: nothing is at these positions on the sky"
    if model is not None:
        facts |= {
            "model": model["name"],
            "model_sha256": model["sha256"],
            "vae_sha256": model["vae_sha256"],
            "model_trained_on": f"{model.get('trained_on')} ({model.get('training_survey')})",
        }
    return facts | ({"link": link} if link else {})
