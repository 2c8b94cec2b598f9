"""Milliseconds of decoding, encoding, refining and measuring spectra of the demo survey; medians side by side."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import store_result

from galspec.core.home import demo_survey_dir
from galspec.measurement.table import measure_spectra
from galspec.models.bundle import load_vae_bundle, shipped_vae_dir
from galspec.store.survey import open_survey


def median_ms(work: Callable[[], object], n_repeats: int) -> float:
    """Return the median time of ``work`` after one call that does not count."""
    work()
    times = []
    for _ in range(n_repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return round(1e3 * statistics.median(times), 3)


def main() -> None:
    """Time the shipped VAE and the measurements."""
    vae, survey = load_vae_bundle(shipped_vae_dir()), open_survey(demo_survey_dir())
    flux, ivar = survey.spectra_block(np.arange(1000))
    latent = vae.latents(flux, ivar)
    store_result(
        "vae",
        {
            "threads": torch.get_num_threads(),
            "decode_one_ms": median_ms(lambda: vae.decode_standardised(latent[:1]), 500),
            "decode_1000_ms": median_ms(lambda: vae.decode_standardised(latent), 50),
            "encode_one_ms": median_ms(lambda: vae.latents(flux[:1], ivar[:1]), 50),
            "encode_1000_ms": median_ms(lambda: vae.latents(flux, ivar), 5),
            "refine_one_50_steps_ms": median_ms(lambda: vae.refine(flux[:1], ivar[:1]), 10),
            "refine_1000_50_steps_ms": median_ms(lambda: vae.refine(flux, ivar), 2),
            "measure_one_ms": median_ms(lambda: measure_spectra(flux[:1], ivar[:1]), 10),
            "measure_1000_ms": median_ms(lambda: measure_spectra(flux, ivar), 2),
        },
    )


if __name__ == "__main__":
    main()
