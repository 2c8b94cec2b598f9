"""Predict a whole survey: images are read ahead, latents written as they come; memory does not grow with the survey."""

import collections
import contextlib
import json
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.core.files import atomic_path
from galspec.inference.engine import Engine, as_engine
from galspec.models.bundle import PredictorBundle
from galspec.store.images import from_stored
from galspec.store.survey import Survey

#: Galaxies read and scaled at once: 64 MB of float32.
BLOCK: Final = 64
#: Blocks that wait for the network beside the one it works on.
N_AHEAD: Final = 2
#: Galaxies a Parquet row group: 150 kB.
ROW_GROUP: Final = 4096

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    read: Callable[[Item], Result], items: Iterable[Item], n_ahead: int = N_AHEAD
) -> Generator[Result, None, None]:
    """Yield ``read(item)`` in order while one thread reads the next ``n_ahead`` items.

    An error of ``read`` is raised where its result was due. Closing the generator ends the thread.
    """
    waiting: collections.deque[Future[Result]] = collections.deque()
    with ThreadPoolExecutor(1, "galspec-read-ahead") as reader:
        try:
            for item in items:
                waiting.append(reader.submit(read, item))
                if len(waiting) > n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def predict_blocks(
    model: PredictorBundle | Engine, survey: Survey, rows: NDArray[np.int64] | None = None
) -> Generator[NDArray[np.float32], None, None]:
    """Yield standardised latents (n, D) of consecutive blocks of a survey's rows; all rows if None.

    Images come from the survey's Zarr array, or are rendered from its catalogue, while the network works. Close the
    generator (`contextlib.closing`) when it is not used to its end.
    """
    engine = as_engine(model)
    rows = np.arange(len(survey)) if rows is None else np.asarray(rows, dtype=np.int64)

    def read(block: NDArray[np.int64]) -> NDArray[np.float32]:
        # numpy only: torch would start a second team of OpenMP threads in this thread.
        return engine.scale(from_stored(survey.images_block(block)))

    blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
    with contextlib.closing(read_ahead(read, blocks)) as images:
        for scaled in images:
            yield engine.latents_of_scaled(scaled)


def latent_columns(n_latent: int) -> list[str]:
    """Return the columns of the latents in a table of predictions."""
    return [f"latent_{index + 1}" for index in range(n_latent)]


def predict_survey(
    model: PredictorBundle | Engine,
    survey: Survey,
    rows: NDArray[np.int64] | None = None,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Predict the latents of many galaxies into memory; only their images are streamed.

    Parameters
    ----------
    model : PredictorBundle or Engine
        A predictor runs eager and exact; an engine as its plan says.
    survey : Survey
    rows : ndarray of int, optional
        Rows to predict; all of them if None.
    progress : callable, optional
        Called with the number of galaxies finished.

    Returns
    -------
    DataFrame
        Columns id and latent_1 ... latent_6 (standardised).
    """
    engine = as_engine(model)
    ids = _ids(survey, rows)
    latents = np.empty((len(ids), engine.n_latent), np.float32)
    done = 0
    with contextlib.closing(predict_blocks(engine, survey, rows)) as blocks:
        for block in blocks:
            latents[done : done + len(block)] = block
            done += len(block)
            if progress is not None:
                progress(done)
    table = pd.DataFrame(latents, columns=latent_columns(engine.n_latent))
    table.insert(0, "id", ids)
    return table


def write_predictions(
    model: PredictorBundle | Engine,
    survey: Survey,
    path: Path,
    rows: NDArray[np.int64] | None = None,
    progress: Callable[[int], None] | None = None,
    row_group: int = ROW_GROUP,
) -> int:
    """Predict the latents of many galaxies into a Parquet file, row group by row group.

    Parameters
    ----------
    model, survey, rows, progress
        As `predict_survey`.
    path : Path
        Appears when it is complete. Columns id, latent_1 ... latent_6 (float32); the metadata entry ``galspec`` holds
        the provenance as JSON: model, backend, mode, precision, device, and the survey.
    row_group : int
        Galaxies a row group, rounded up to whole blocks.

    Returns
    -------
    int
        Number of galaxies written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    engine = as_engine(model)
    ids = _ids(survey, rows)
    names = latent_columns(engine.n_latent)
    provenance = {**engine.provenance, "survey": {"name": survey.name, "source": survey.source}}
    schema = pa.schema(
        [("id", pa.string()), *((name, pa.float32()) for name in names)], {b"galspec": json.dumps(provenance).encode()}
    )
    waiting: list[NDArray[np.float32]] = []
    done, written = 0, 0
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema) as writer,
        contextlib.closing(predict_blocks(engine, survey, rows)) as blocks,
    ):
        for block in blocks:
            waiting.append(block)
            done += len(block)
            if done - written >= row_group:
                _write_group(writer, schema, ids[written:done], waiting)
                waiting, written = [], done
            if progress is not None:
                progress(done)
        if waiting:
            _write_group(writer, schema, ids[written:done], waiting)
    return done


def _write_group(writer: Any, schema: Any, ids: NDArray[np.object_], blocks: list[NDArray[np.float32]]) -> None:
    import pyarrow as pa

    latents = np.concatenate(blocks)
    columns = [pa.array(ids, pa.string()), *(pa.array(column) for column in latents.T)]
    writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=len(ids))


def _ids(survey: Survey, rows: NDArray[np.int64] | None) -> NDArray[np.object_]:
    ids = survey.catalog["id"].to_numpy(object)
    return ids if rows is None else ids[np.asarray(rows, dtype=np.int64)]
