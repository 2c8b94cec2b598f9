"""Opening a survey of 64,000 galaxies, beside reading its whole catalogue with pandas."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from machine import store_result

from galspec.core.files import sha256_of, write_json
from galspec.core.home import demo_survey_dir
from galspec.store import layout
from galspec.store.survey import open_survey

N_GALAXIES = 64_000


def _make_survey(folder: Path) -> None:
    """Repeat the demo survey's galaxies under new ids until there are 64,000."""
    demo = open_survey(demo_survey_dir())
    catalog = pd.read_parquet(demo.folder / layout.CATALOG)
    catalog = catalog.iloc[np.arange(N_GALAXIES) % len(catalog)].reset_index(drop=True)
    catalog["id"] = [f"bench-{index:08d}" for index in range(N_GALAXIES)]
    folder.mkdir()
    catalog.to_parquet(folder / layout.CATALOG, index=False)
    group = layout.create_spectra(folder / layout.SPECTRA, N_GALAXIES, layout.SPECTRUM_ARRAYS)
    flux, ivar = demo.spectra_block(np.arange(layout.SHARD))
    for start in range(0, N_GALAXIES, layout.SHARD):
        group["flux"][start : start + layout.SHARD] = flux
        group["ivar"][start : start + layout.SHARD] = ivar
    metadata = {**demo.metadata, "name": "bench", "n_galaxies": N_GALAXIES}
    write_json(
        folder / layout.METADATA, {**metadata, "checksums": {layout.CATALOG: sha256_of(folder / layout.CATALOG)}}
    )


def _median_seconds(what: Callable[[], object], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        what()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure with a warm file cache; medians of 7."""
    folder = Path(tempfile.mkdtemp(prefix="galspec-bench-"))
    try:
        _make_survey(folder / "survey")
        survey = open_survey(folder / "survey")
        rows = iter(np.random.default_rng(0).integers(0, N_GALAXIES, 1000))
        whole = _median_seconds(lambda: pd.read_parquet(folder / "survey" / layout.CATALOG))
        opened = _median_seconds(lambda: open_survey(folder / "survey"))
        with_catalog = _median_seconds(lambda: open_survey(folder / "survey").catalog)
        spectrum = _median_seconds(lambda: survey.spectrum(int(next(rows))), 51)
        cutout = _median_seconds(lambda: survey.cutout(int(next(rows))), 21)
    finally:
        shutil.rmtree(folder)
    store_result(
        "survey",
        {
            "n_galaxies": N_GALAXIES,
            "open_s": round(opened, 4),
            "open_and_public_catalog_s": round(with_catalog, 4),
            "read_parquet_s": round(whole, 4),
            "ratio_open_and_catalog_to_read_parquet": round(with_catalog / whole, 3),
            "one_spectrum_ms": round(1e3 * spectrum, 2),
            "one_rendered_cutout_ms": round(1e3 * cutout, 2),
        },
    )


if __name__ == "__main__":
    main()
