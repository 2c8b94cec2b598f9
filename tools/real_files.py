"""Real files through the shipped models: SDSS spectra encoded and decoded, one PS1 galaxy predicted.

Writes docs/results/real_files.json and a figure; needs the folder of real survey files, no part of the project.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from galspec.core.errors import GalspecError
from galspec.core.files import write_json
from galspec.core.home import REPOSITORY_DIR
from galspec.core.lines import LINES
from galspec.core.wavelength import wave_grid
from galspec.inference.predict import PredictedSpectrum, predict_cutout
from galspec.models.bundle import (
    VaeBundle,
    load_predictor_bundle,
    load_vae_bundle,
    shipped_predictor_dir,
    shipped_vae_dir,
)
from galspec.preprocess.spectra import normalise_spectra
from galspec.readers.ps1 import Cutout, read_ps1_cutout
from galspec.readers.sdss import read_sdss_spectrum, to_rest_grid
from galspec.store.thumbnails import composite_rgb
from galspec.training.pca_baseline import reconstruct

mpl.use("Agg")
from matplotlib import pyplot as plt

NGC6928 = {"ra_deg": 308.20896, "dec_deg": 9.92675, "redshift": 0.0157}


def _chi2(model: np.ndarray, flux: np.ndarray, ivar: np.ndarray) -> float:
    has_data = ivar > 0
    return float((ivar * (model - flux) ** 2)[has_data].mean())


def _residual(model: np.ndarray, flux: np.ndarray, ivar: np.ndarray) -> float:
    """Return the median |residual| over the median flux: what noise and model leave, as a fraction of the flux."""
    has_data = ivar > 0
    return float(np.median(np.abs(model - flux)[has_data]) / np.median(flux[has_data]))


def spectrum_row(path: Path, vae: VaeBundle) -> dict[str, Any]:
    """Encode and decode one spectrum; compare with six principal components fitted by least chi squared."""
    row: dict[str, Any] = {"file": path.name}
    try:
        rest = to_rest_grid(read_sdss_spectrum(path))
    except GalspecError as error:
        return {**row, "refused": str(error).replace(str(path), path.name)}
    flux, ivar, _ = normalise_spectra(rest.flux[None], rest.ivar[None])
    pca = vae.preprocessor
    pca_model = reconstruct(flux, ivar, pca.mean_flux, pca.eigenvectors[:6])
    vae_model = vae.reconstruct(rest.flux[None], rest.ivar[None])
    good = ivar[0] > 0
    return {
        **row,
        "redshift": round(float(rest.redshift), 4),
        "pixels": int(good.sum()),
        "snr": round(float(np.median(flux[0, good] * np.sqrt(ivar[0, good]))), 1),
        "chi2_vae": round(_chi2(vae_model[0], flux[0], ivar[0]), 2),
        "chi2_pca6": round(_chi2(pca_model[0], flux[0], ivar[0]), 2),
        "residual_vae": round(_residual(vae_model[0], flux[0], ivar[0]), 4),
        "residual_pca6": round(_residual(pca_model[0], flux[0], ivar[0]), 4),
        "largest_latent": round(float(np.abs(vae.latents(rest.flux[None], rest.ivar[None])).max()), 2),
    }


def draw_galaxy(cutout: Cutout, spectrum: PredictedSpectrum, path: Path) -> None:
    """Draw the composite of a real galaxy beside its predicted spectrum."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.2), width_ratios=[1, 2.4], layout="constrained")
    left.imshow(composite_rgb(cutout.flux_njy, stretch=4.0))
    left.set_title('NGC 6928, PS1 z i g, 56" (REAL)')
    left.set_axis_off()
    right.plot(spectrum.wave_rest, spectrum.flux, color="#D55E00", lw=1.2)
    top = float(spectrum.flux.max())
    for line in (line for line in LINES if line.is_major):
        right.axvline(line.wave_vac, color="0.75", lw=0.6, zorder=0)
        right.text(line.wave_vac, 1.04 * top, line.label, rotation=90, fontsize=7, ha="center", va="bottom")
    right.set_xlabel("Rest-frame wavelength, vacuum [Å]")
    right.set_ylabel("predicted F$_λ$ / median(4200–6700 Å)")
    right.axhline(0.0, color="0.3", lw=0.6)
    right.set_ylim(min(0.0, 1.05 * float(spectrum.flux.min())), 1.2 * top)
    right.set_title(f"PREDICTED from the image by {spectrum.model['name']}, trained on SIMULATED galaxies", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=REPOSITORY_DIR.parent / "shared" / "real")
    real = parser.parse_args().real
    if not real.is_dir():
        sys.exit(f"{real} is not a folder; name the folder of real survey files with --real.")
    vae = load_vae_bundle(shipped_vae_dir())
    rows = [spectrum_row(path, vae) for path in sorted((real / "sdss").glob("*.fits"))]
    used = [row for row in rows if "refused" not in row]
    usual = [row for row in used if row["pixels"] >= 600 and row["snr"] > 5 and row["redshift"] < 0.3]
    predictor = load_predictor_bundle(shipped_predictor_dir(), vae)
    cutout = read_ps1_cutout(sorted((real / "ps1" / "NGC6928").glob("*.fits")), NGC6928["ra_deg"], NGC6928["dec_deg"])
    spectrum = predict_cutout(predictor, cutout.flux_njy, NGC6928["redshift"])
    folder = REPOSITORY_DIR / "docs" / "results"
    folder.mkdir(exist_ok=True)
    draw_galaxy(cutout, spectrum, REPOSITORY_DIR / "docs" / "images" / "ngc6928.png")
    medians = {
        name: round(float(np.median([row[name] for row in usual])), 4)
        for name in ("chi2_vae", "chi2_pca6", "residual_vae", "residual_pca6")
    }
    wave = wave_grid()
    halpha = np.abs(wave - 6564.6) < 8
    result = {
        "source": "REAL files, models trained on SIMULATED galaxies",
        "vae_sha256": vae.sha256,
        "n_files": len(rows),
        "n_usual": len(usual),
        "median_of_usual": medians,
        "spectra": rows,
        "ngc6928": {
            "warnings": list(spectrum.warnings),
            "latent": [round(float(value), 3) for value in spectrum.latent],
            "halpha_peak_over_continuum": round(
                float(spectrum.flux[halpha].max() / np.median(spectrum.flux[780:870])), 3
            ),
            "model_sha256": spectrum.model["sha256"],
        },
    }
    write_json(folder / "real_files.json", result)
    for row in rows:
        print(row)
    print(medians, result["ngc6928"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
