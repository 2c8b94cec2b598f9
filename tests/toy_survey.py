"""A survey folder and model bundles small enough for tests: Sersic blobs, two spectral templates, random weights."""

from pathlib import Path

import numpy as np
import pandas as pd

from galspec.core.bands import BANDS, CUTOUT_SIZE_PIX, IMAGE_SCALE_NJY, PIXEL_SCALE_ARCSEC
from galspec.core.files import write_json
from galspec.core.lines import line_by_name
from galspec.core.splits import split_of
from galspec.core.wavelength import N_WAVE, wave_grid
from galspec.store import layout
from galspec.store.thumbnails import thumbnail_webp

CLASSES = ("SF", "GV", "Q", "PSB")
EMISSION = {
    "[OII]3726": 3.0,
    "Hbeta": 1.5,
    "[OIII]4959": 0.5,
    "[OIII]5007": 1.5,
    "[NII]6548": 0.6,
    "Halpha": 6.0,
    "[NII]6583": 1.8,
    "[SII]6716": 1.0,
    "[SII]6731": 0.8,
}


def toy_spectrum(rng: np.random.Generator, star_forming: float, snr: float, redshift: float) -> dict[str, np.ndarray]:
    """Return flux, ivar and flux_true, each (1000,), of a mix of a blue and a red template."""
    wave = wave_grid()
    red = 1.0 / (1.0 + np.exp(-(wave - 4000.0) / 40.0)) * 0.55 + 0.45 + (wave - 5500.0) * 3e-5
    blue = (wave / 5500.0) ** -1.0
    true = star_forming * blue + (1.0 - star_forming) * red
    for name, strength in EMISSION.items():
        centre = line_by_name(name).wave_vac
        true = true + star_forming * 0.4 * strength * np.exp(-0.5 * ((wave - centre) / 3.0) ** 2)
    scale = float(rng.uniform(3.0, 40.0))
    sigma = np.full(N_WAVE, scale / snr)
    flux = scale * true + sigma * rng.standard_normal(N_WAVE)
    ivar = 1.0 / sigma**2
    observed = wave * (1.0 + redshift)
    no_data = (observed < 3800.0) | (observed > 9200.0) | (np.abs(observed - 5579.0) < 12.0)
    return {
        "flux": np.where(no_data, 0.0, flux),
        "ivar": np.where(no_data, 0.0, ivar),
        "flux_true": scale * true,
    }


def toy_cutout(rng: np.random.Generator, star_forming: float, has_gap: bool) -> np.ndarray:
    """Return a cutout (5, 224, 224) in nJy per pixel: an exponential blob on noise."""
    offset = np.arange(CUTOUT_SIZE_PIX) - (CUTOUT_SIZE_PIX - 1) / 2
    x, y = np.meshgrid(offset, offset)
    angle, axis_ratio, scale = rng.uniform(0, np.pi), rng.uniform(0.35, 1.0), rng.uniform(6.0, 14.0)
    u, v = x * np.cos(angle) + y * np.sin(angle), (-x * np.sin(angle) + y * np.cos(angle)) / axis_ratio
    blob = np.exp(-np.hypot(u, v) / scale)
    colours = np.array([0.25, 0.6, 1.0, 1.25, 1.4]) * (1 - star_forming) + star_forming * np.array([0.7, 0.9, 1, 1, 1])
    image = 4000.0 * colours[:, None, None] * blob
    image += rng.standard_normal(image.shape) * np.array([35.0, 42.0, 50.0, 106.0, 255.0])[:, None, None]
    if has_gap:
        image[4, 20:60, :] = np.nan
    return image.astype(np.float32)


def _catalog(rng: np.random.Generator, n_galaxies: int) -> pd.DataFrame:
    ids = [f"sim1-{index * 7 + 3:08d}" for index in range(n_galaxies)]
    classes = np.array(CLASSES)[np.arange(n_galaxies) % len(CLASSES)]
    star_forming = np.array([{"SF": 0.9, "GV": 0.5, "Q": 0.05, "PSB": 0.4}[name] for name in classes])
    magnitude = rng.uniform(14.5, 17.7, n_galaxies)
    log_mass, log_sfr = rng.uniform(9.0, 11.5, n_galaxies), star_forming * 3.0 - 2.0
    frame = pd.DataFrame(
        {
            "id": ids,
            "group_id": ids,
            "split": [split_of(name) for name in ids],
            "ra_deg": rng.uniform(0, 360, n_galaxies),
            "dec_deg": np.degrees(np.arcsin(rng.uniform(-0.5, 1, n_galaxies))),
            "redshift": rng.uniform(0.02, 0.25, n_galaxies),
            "galaxy_class": classes,
            "agn_class": np.array(["none", "seyfert", "liner"])[rng.choice(3, n_galaxies, p=[0.8, 0.1, 0.1])],
            "bpt_class": np.where(star_forming > 0.45, "star-forming", "none"),
            "log_mass": log_mass,
            "sfr": 10.0**log_sfr,
            "log_ssfr": log_sfr - log_mass,
            "dn4000_true": 1.9 - 0.7 * star_forming,
            "ew_ha_true": 50.0 * star_forming,
            "log_n2": np.where(star_forming > 0.45, -0.5, np.nan),
            "log_o3": np.where(star_forming > 0.45, 0.1, np.nan),
            "fibre_fraction_r": rng.uniform(0.1, 0.6, n_galaxies),
            "snr_median": rng.uniform(6.0, 30.0, n_galaxies),
            "a_v": rng.uniform(0.0, 1.0, n_galaxies),
        }
    )
    for index, band in enumerate(BANDS):
        frame[f"mag_{band}"] = magnitude + 0.7 * (1.0 - star_forming) * (1 - index)
        frame[f"apmag_{band}"] = frame[f"mag_{band}"] + 1.2
    return frame


def write_toy_survey(folder: Path, n_galaxies: int = 60, seed: int = 1, with_images: bool = True) -> Path:
    """Write a survey folder; every third cutout has a chip gap in y; thumbnails are stored."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    catalog = _catalog(rng, n_galaxies)
    folder.mkdir(parents=True)
    catalog.to_parquet(folder / layout.CATALOG, index=False)
    spectra = layout.create_spectra(folder / layout.SPECTRA, n_galaxies, layout.SPECTRUM_ARRAYS)
    star_forming = [{"SF": 0.9, "GV": 0.5, "Q": 0.05, "PSB": 0.4}[name] for name in catalog["galaxy_class"]]
    rows = [
        toy_spectrum(rng, share, snr, redshift)
        for share, snr, redshift in zip(star_forming, catalog["snr_median"], catalog["redshift"], strict=True)
    ]
    for name in layout.SPECTRUM_ARRAYS:
        spectra[name][:] = np.stack([row[name] for row in rows]).astype(np.float32)
    cutouts = [toy_cutout(rng, share, index % 3 == 0) for index, share in enumerate(star_forming)]
    if with_images:
        images = layout.create_images(folder / layout.IMAGES, n_galaxies)
        images[:] = np.stack([(cutout / IMAGE_SCALE_NJY).astype(np.float16) for cutout in cutouts])
    webp = pa.array([thumbnail_webp(cutout) for cutout in cutouts], pa.binary())
    pq.write_table(pa.table({"id": catalog["id"].tolist(), "webp": webp}), folder / layout.THUMBNAILS)
    write_json(
        folder / layout.METADATA,
        {
            "format": layout.FORMAT,
            "version": layout.VERSION,
            "name": "toy",
            "source": "SIMULATED",
            "n_galaxies": n_galaxies,
            "pixel_scale_arcsec": PIXEL_SCALE_ARCSEC,
        },
    )
    return folder


def write_toy_models(folder: Path, seed: int = 1) -> tuple[Path, Path]:
    """Write a VAE and a predictor with small random weights; return their folders."""
    import torch

    from galspec.models.bundle import load_vae_bundle, save_predictor_bundle, save_vae_bundle
    from galspec.models.catalog import build_network
    from galspec.models.vae import InfoVAE
    from galspec.preprocess.cutouts import ImageScaler
    from galspec.preprocess.spectra import SpectrumPreprocessor

    rng = np.random.default_rng(seed)
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    true = [toy_spectrum(rng, share, 1e4, -1e-9) for share in np.linspace(0.0, 1.0, 40)]
    flux = np.stack([row["flux_true"] / np.median(row["flux_true"][239:759]) for row in true])
    mean_flux = flux.mean(axis=0)
    _, values, vectors = np.linalg.svd(flux - mean_flux, full_matrices=False)
    preprocessor = SpectrumPreprocessor(mean_flux, vectors[:3], np.maximum(values[:3] ** 2 / 40, 1e-6))
    model = InfoVAE()
    with torch.no_grad():
        last = model.decoder[-1]
        last.weight.mul_(0.02)
    survey = {"name": "toy", "source": "SIMULATED", "n_galaxies": 60}
    common = {"training_survey": survey, "recipe": {"passes": 0}, "scores": {}}
    save_vae_bundle(
        folder / "vae6",
        model=model,
        preprocessor=preprocessor,
        latent_mean=torch.zeros(6),
        latent_std=torch.ones(6),
        name="vae6",
        **common,
    )
    save_predictor_bundle(
        folder / "toy-cnn",
        network=build_network("simple-cnn"),
        architecture="simple-cnn",
        vae=load_vae_bundle(folder / "vae6"),
        image_scaler=ImageScaler(np.zeros(5), np.full(5, 500.0)),
        name="toy-cnn",
        **common,
    )
    torch.set_rng_state(generator_state)
    return folder / "vae6", folder / "toy-cnn"
