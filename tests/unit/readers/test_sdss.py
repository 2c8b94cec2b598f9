"""SDSS spectra: every layout, masks, the rest-frame grid, and a reason for every refusal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from galspec.core.errors import SpectrumError
from galspec.core.wavelength import wave_grid
from galspec.preprocess.spectra import resample_to_grid
from galspec.readers.sdss import read_sdss_spectrum, to_rest_grid

Writer = Callable[..., Path]


@pytest.mark.parametrize("layout", ["lite", "full", "boss", "spSpec"])
@pytest.mark.parametrize("redshift", [0.0, 0.1, 0.36])
def test_to_rest_grid_puts_lines_at_their_vacuum_wavelength(write_sdss: Writer, layout: str, redshift: float) -> None:
    spectrum = read_sdss_spectrum(write_sdss(redshift, layout=layout))
    assert spectrum.layout == layout
    assert spectrum.redshift == pytest.approx(redshift)
    assert spectrum.snr == pytest.approx(20.0, rel=1e-5)
    assert spectrum.flux.dtype.isnative
    rest = to_rest_grid(spectrum)
    assert rest.flux.dtype == rest.ivar.dtype == np.dtype(np.float32)
    assert rest.norm == pytest.approx(10.0, rel=1e-3)  # F_lambda as observed: no factor of 1 + z
    grid = wave_grid()
    for line in (5008.24, 6564.61):
        near = (abs(grid - line) < 30) & (rest.ivar > 0)
        if not near.any() or grid[near].max() < line + 25:
            continue
        excess = (rest.flux[near] - 10.0) * grid[near]
        centroid = (excess * grid[near]).sum() / excess.sum()
        assert centroid == pytest.approx(line, abs=0.3)  # a tenth of a pixel
    covered = (grid * (1 + redshift) > 3805) & (grid * (1 + redshift) < 9190)
    assert rest.data_fraction == pytest.approx(covered.mean(), abs=0.004)


def test_read_sdss_spectrum_reads_ids_as_strings(write_sdss: Writer) -> None:
    spectrum = read_sdss_spectrum(write_sdss())
    assert (spectrum.plate, spectrum.mjd, spectrum.fiberid) == ("266", "51602", "166")
    assert spectrum.spec_obj_id == "299535031829817344"
    assert spectrum.obj_id == "1237650796220055691"
    assert (spectrum.spectral_class, spectrum.zwarning) == ("GALAXY", 0)
    old = read_sdss_spectrum(write_sdss(layout="spSpec"))
    assert (old.plate, old.mjd, old.fiberid, old.obj_id) == ("1307", "52999", "323", "")


def test_read_sdss_spectrum_uses_and_mask_bits_that_mean_bad(write_sdss: Writer) -> None:
    def edit(columns: dict[str, Any]) -> None:
        columns["and_mask"][1000:1050] = 1 << 23  # BRIGHTSKY
        columns["and_mask"][1100:1150] = 1 << 16  # NEARBADPIXEL
        columns["and_mask"][1200:1250] = (1 << 1) | (1 << 4)  # BADTRACE, MANYBADCOLUMNS
        columns["flux"][1000:1050] = 1e5

    spectrum = read_sdss_spectrum(write_sdss(edit=edit))
    assert spectrum.mask.sum() == 50
    assert spectrum.mask[1000:1050].all()
    assert (spectrum.ivar[spectrum.mask] == 0).all()
    assert to_rest_grid(spectrum).flux.max() < 200


def test_read_sdss_spectrum_masks_values_that_are_no_flux(write_sdss: Writer) -> None:
    def edit(columns: dict[str, Any]) -> None:
        columns["flux"][100], columns["flux"][101], columns["flux"][102] = np.nan, np.inf, 1e30
        columns["ivar"][103], columns["ivar"][104], columns["ivar"][105] = np.nan, np.inf, -1.0
        columns["ivar"][106] = 1e20

    for layout in ("lite", "spSpec"):
        spectrum = read_sdss_spectrum(write_sdss(edit=edit if layout == "lite" else None, layout=layout))
        if layout == "lite":
            assert np.flatnonzero(spectrum.mask).tolist() == list(range(100, 107))
        rest = to_rest_grid(spectrum)
        assert np.isfinite(rest.flux).all()
        assert np.isfinite(rest.ivar).all()
        assert abs(rest.flux).max() < 200


def test_read_sdss_spectrum_takes_zero_error_of_the_old_layout_as_no_data(write_sdss: Writer) -> None:
    def edit(columns: dict[str, Any]) -> None:
        columns["ivar"][:300] = 0

    spectrum = read_sdss_spectrum(write_sdss(edit=edit, layout="spSpec"))
    assert spectrum.mask.sum() == 300
    np.testing.assert_allclose(spectrum.ivar[300:], 4.0, rtol=1e-5)


def test_read_sdss_spectrum_prefers_the_given_redshift(write_sdss: Writer) -> None:
    assert read_sdss_spectrum(write_sdss(0.1), redshift=0.2).redshift == 0.2
    path = write_sdss(facts={"Z": None})
    with pytest.raises(SpectrumError, match="does not state the redshift"):
        read_sdss_spectrum(path)
    assert to_rest_grid(read_sdss_spectrum(path, redshift=0.1)).norm == pytest.approx(10.0, rel=1e-3)


def test_read_sdss_spectrum_converts_air_wavelengths(write_sdss: Writer) -> None:
    path = write_sdss()
    vacuum = read_sdss_spectrum(path).wave_vac_obs
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["VACUUM"] = False
    assert np.median(read_sdss_spectrum(path).wave_vac_obs - vacuum) == pytest.approx(1.6, abs=0.3)


def no_ivar(columns: dict[str, Any]) -> None:
    columns["ivar"][:] = 0


def only_ends(columns: dict[str, Any]) -> None:
    wave = 10 ** columns["loglam"] / 1.1
    columns["ivar"][(wave > 4150) & (wave < 6750)] = 0


def few_pixels(columns: dict[str, Any]) -> None:
    columns["ivar"][500:] = 0


def negative(columns: dict[str, Any]) -> None:
    columns["flux"][:] = -5.0


def unsorted(columns: dict[str, Any]) -> None:
    columns["loglam"][:] = columns["loglam"][::-1].copy()


REFUSALS = [
    ({"edit": no_ivar}, "has no good pixel: all"),
    ({"edit": only_ends}, "no positive median flux in rest 4200-6700"),
    ({"edit": few_pixels}, r"has data in \d+ of the 1000 pixels .* at least 200"),
    ({"edit": negative}, "no positive median flux"),
    ({"edit": unsorted}, "strictly increasing"),
    ({"redshift": 0.37}, "has redshift 0.3700, and 0-0.36 is supported"),
    ({"redshift": -0.001}, "has redshift -0.0010"),
    ({"facts": {"Z": float("nan")}}, "does not state the redshift"),
]


@pytest.mark.parametrize(("settings", "reason"), REFUSALS)
def test_sdss_spectra_are_refused_with_a_reason(write_sdss: Writer, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpectrumError, match=reason) as refusal:
        to_rest_grid(read_sdss_spectrum(write_sdss(**settings)))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("layout", ["lite", "full", "spSpec"])
@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_read_sdss_spectrum_refuses_truncated_files(
    write_sdss: Writer, tmp_path: Path, layout: str, fraction: float
) -> None:
    content = write_sdss(layout=layout).read_bytes()
    path = tmp_path / "short.fits"
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(SpectrumError, match=r"short.fits is truncated or damaged"):
        read_sdss_spectrum(path)


def test_read_sdss_spectrum_refuses_what_is_no_spectrum(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((30, 30), np.float32)).writeto(tmp_path / "image.fits")
    with pytest.raises(SpectrumError, match=r"image.fits holds no SDSS spectrum"):
        read_sdss_spectrum(tmp_path / "image.fits")
    (tmp_path / "text.fits").write_text("wavelength,flux\n")
    with pytest.raises(SpectrumError, match="is not a FITS file"):
        read_sdss_spectrum(tmp_path / "text.fits")


#: File, layout, redshift, fraction of the grid with data; or the reason of the refusal.
REAL_FILES = [
    ("1237652899686318136", "lite", 0.0506, 0.92, None),
    ("1237658802572296399", "lite", 0.0750, 0.93, None),
    ("1237662637447184537", "lite", 0.0505, 0.92, None),
    ("sample_sdss", "spSpec", 0.0410, 0.88, None),
    ("spec-0266-51602-0001", "full", 0.0213, 0.89, None),
    ("spec-0266-51602-0162", "full", 0.0633, 0.94, None),
    ("spec-0266-51602-0166", "full", 0.0216, 0.90, None),
    ("spec-0266-51602-0573", "lite", 0.2619, 0.80, None),
    ("spec-0266-51602-0614", "full", 0.0620, 0.93, None),
    ("spec-0266-51602-0638", "lite", 0.1098, 0.92, None),
    ("spec-0266-51630-0174", "full", 0.0216, 0.75, None),
    ("spec-0266-51630-0623", "lite", 0.0633, 0.93, None),
    ("spec-0269-51581-0003", "lite", 0.0, 0.0, "has no good pixel"),
    ("spec-0390-51900-0282", "full", 0.0180, 0.86, None),
    ("spec-1045-52725-0628", "lite", 0.0320, 0.89, None),
    ("spec-1722-53852-0175", "lite", 0.1607, 0.76, None),
    ("spec-1931-53358-0251", "lite", 1.1885, 0.0, "has redshift 1.1885"),
    ("spec-3586-55181-0003", "boss", 0.5887, 0.0, "has redshift 0.5887"),
]


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "layout", "redshift", "data_fraction", "reason"), REAL_FILES)
def test_real_spectra_are_read_or_refused_with_a_reason(
    real_dir: Path, name: str, layout: str, redshift: float, data_fraction: float, reason: str | None
) -> None:
    path = real_dir / "sdss" / f"{name}.fits"
    if reason is not None:
        with pytest.raises(SpectrumError, match=reason):
            to_rest_grid(read_sdss_spectrum(path))
        return
    spectrum = read_sdss_spectrum(path)
    rest = to_rest_grid(spectrum)
    assert spectrum.layout == layout
    assert spectrum.redshift == pytest.approx(redshift, abs=1e-4)
    assert rest.data_fraction == pytest.approx(data_fraction, abs=0.01)
    assert 1 < rest.norm < 200


@pytest.mark.real_data
def test_real_files_are_all_in_the_table(real_dir: Path) -> None:
    assert {path.stem for path in (real_dir / "sdss").glob("*.fits")} == {row[0] for row in REAL_FILES}


@pytest.mark.real_data
def test_real_galaxies_are_fitted_by_the_eigenspectra_of_yip_et_al(real_dir: Path) -> None:
    """Wavelengths, redshifts and rest frame are right, or ten templates would not fit to a few percent."""
    with fits.open(real_dir / "templates" / "gal_eigenspec_Yip2004.fits", memmap=False) as hdus:
        wave, vectors = (np.asarray(hdus[1].data[name][0], np.float64) for name in ("WAVE", "PCA"))
    templates, covered = resample_to_grid(wave, vectors, np.ones_like(vectors))
    residuals, shifted = [], []
    for name, *_, reason in REAL_FILES:
        if reason is not None or name == "1237662637447184537":  # a quasar is no galaxy template
            continue
        spectrum = read_sdss_spectrum(real_dir / "sdss" / f"{name}.fits")
        for offset, found in ((0.0, residuals), (0.002, shifted)):
            moved = read_sdss_spectrum(real_dir / "sdss" / f"{name}.fits", redshift=spectrum.redshift + offset)
            rest = to_rest_grid(moved)
            good = (rest.ivar > 0) & (covered[0] > 0)
            weight = 1 / np.hypot(1 / np.sqrt(rest.ivar[good]), 0.03 * rest.norm)
            fit = np.linalg.lstsq((templates[:, good] * weight).T, rest.flux[good] * weight, rcond=None)[0]
            model = fit @ templates[:, good]
            # relative residual smoothed over 10 pixels, where noise is small
            smooth = np.convolve(rest.flux[good] / model - 1, np.full(10, 0.1), "valid")
            found.append(float(np.sqrt(np.mean(smooth**2))))
    assert np.median(residuals) < 0.025
    assert np.median(shifted) > 1.15 * np.median(residuals)
