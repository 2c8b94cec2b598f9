"""The embedded demo survey: held-out galaxies of the survey the shipped weights were trained on."""

import multiprocessing
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from galspec.core.errors import SurveyError
from galspec.core.files import atomic_path, sha256_of, write_json
from galspec.store import layout
from galspec.store.survey import Survey, open_survey
from galspec.store.thumbnails import THUMBNAIL_SIZE_PIX, thumbnail_webp

#: Only galaxies that no weights, scaler or early stop has seen.
DEMO_SPLITS: Final = ("calibration", "test")


def _thumbnails(job: tuple[str, list[int]]) -> list[bytes]:
    survey = open_survey(job[0])
    return [thumbnail_webp(survey.cutout(row)) for row in job[1]]


def make_demo(
    survey: Survey,
    folder: Path,
    n_galaxies: int = 3000,
    n_jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Cut the demo survey out of a simulated survey; ids and splits are kept, images rendered on demand.

    Parameters
    ----------
    survey : Survey
        A finished simulated survey.
    folder : Path
        Folder to write; replaced as a whole if it exists.
    n_galaxies : int
        Number of calibration and test galaxies: the first ones of the survey.
    n_jobs : int
        Processes that render thumbnails.
    progress : callable, optional
        Called with the number of thumbnails made.

    Raises
    ------
    SurveyError
        If the survey is not simulated or has too few calibration and test galaxies.
    """
    if survey.source != "SIMULATED":
        raise SurveyError(f"the demo survey must be simulated, but survey {survey.name!r} is {survey.source}.")
    rows = survey.rows_in_split(*DEMO_SPLITS)[:n_galaxies]
    if len(rows) < n_galaxies:
        raise SurveyError(
            f"survey {survey.name!r} has {len(rows)} calibration and test galaxies, but the demo wants {n_galaxies}; "
            "simulate more or give a smaller --n."
        )
    blocks = [(str(survey.folder), [int(row) for row in block]) for block in np.array_split(rows, -(-len(rows) // 50))]
    webp: list[bytes] = []
    with ProcessPoolExecutor(n_jobs, multiprocessing.get_context("spawn")) as pool:
        for made in pool.map(_thumbnails, blocks):
            webp += made
            if progress is not None:
                progress(len(webp))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder.with_name(folder.name + ".new")) as temporary:
        temporary.mkdir()
        _write(survey, rows, webp, temporary)
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(folder.name + ".new").rename(folder)


def _write(survey: Survey, rows: np.ndarray, webp: list[bytes], folder: Path) -> None:
    catalog = pd.read_parquet(survey.folder / layout.CATALOG).iloc[rows].reset_index(drop=True)
    catalog.to_parquet(folder / layout.CATALOG, index=False, compression="zstd")
    # float16 keeps 3.3 digits: a flux is rounded by < 0.05 %, far below the noise of any pixel.
    arrays: dict[str, Any] = layout.create_spectra(
        folder / layout.SPECTRA, len(rows), layout.SPECTRUM_ARRAYS, dtype="float16"
    )
    flux, ivar = survey.spectra_block(rows)
    flux_true = np.stack([np.asarray(survey.spectrum(int(row)).flux_true, np.float32) for row in rows])
    for name, values in (("flux", flux), ("ivar", ivar), ("flux_true", flux_true)):
        limited = np.clip(values, -65000.0, 65000.0)
        arrays[name][:] = limited.astype(np.float16)
    table = pa.table({"id": catalog["id"].astype(str).tolist(), "webp": pa.array(webp, pa.binary())})
    with atomic_path(folder / layout.THUMBNAILS) as temporary:
        pq.write_table(table, temporary, compression="none")  # WebP does not compress further
    write_json(
        folder / layout.METADATA,
        {
            **survey.metadata,
            "name": "demo",
            "n_galaxies": len(rows),
            "made_by": "python -m galspec demo",
            "parent": {"name": survey.name, "n_galaxies": len(survey), "catalog_sha256": survey.data_hash},
            "splits": list(DEMO_SPLITS),
            "thumbnails": f"WebP, {THUMBNAIL_SIZE_PIX} pixels, R = z, G = i, B = g",
            "checksums": {layout.CATALOG: sha256_of(folder / layout.CATALOG)},
        },
    )
