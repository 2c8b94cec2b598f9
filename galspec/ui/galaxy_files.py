"""What a reader takes away from the Galaxy page: the curves as files, Python code, pages of other services."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from galspec.core.errors import BundleError, ConfigError, CoordinateError
from galspec.core.links import SdssIds, external_links
from galspec.core.table_file import FORMATS
from galspec.store.survey import Survey
from galspec.ui.comparison import Comparison
from galspec.ui.export import as_file, provenance
from galspec.ui.model_card import ModelCard, model_dir, read_model_card
from galspec.ui.snippet import python_snippet


def downloads(survey: Survey, comparison: Comparison, values: dict[str, Any]) -> None:
    """Offer the three curves in every format, made when asked for, and the code that makes them."""
    galaxy_id, redshift = str(values["id"]), float(values["redshift"])
    make = partial(
        curves_file,
        comparison,
        galaxy_id=galaxy_id,
        redshift=redshift,
        survey_name=survey.name,
        source=survey.source,
        link=_link(galaxy_id),
    )
    st.markdown(
        "**The three curves as a file**",
        help="Without smoothing, with observed errors and wavelengths; units, model and survey are in the file.",
    )
    with st.container(horizontal=True, gap="small"):
        for name, (suffix, mime) in FORMATS.items():
            st.download_button(
                name,
                data=partial(make, file_format=name),
                file_name=f"{galaxy_id}-spectra{suffix}",
                mime=mime,
                key=f"galaxy_download_{name}",
                icon=":material/download:",
                on_click="ignore",
            )
        with st.popover("Use in Python", key="galaxy_python", icon=":material/code:"):
            st.code(python_snippet(survey, values, model_card()), language="python", wrap_lines=True)


def curves_file(
    comparison: Comparison,
    *,
    galaxy_id: str,
    redshift: float,
    survey_name: str,
    source: str,
    link: str,
    file_format: str,
) -> bytes:
    """Return the curves as the content of a file; see `galspec.ui.export`."""
    facts = provenance(
        comparison,
        galaxy_id=galaxy_id,
        redshift=redshift,
        survey_name=survey_name,
        source=source,
        card=model_card(),
        link=link,
    )
    return as_file(comparison, redshift, facts, file_format)


def model_card() -> ModelCard | None:
    """Return the identity of the app's predictor, or None if there is none."""
    try:
        return read_model_card(model_dir())
    except BundleError:
        return None


def _link(galaxy_id: str) -> str:
    address = (st.context.url or "").split("?")[0]
    return f"{address}?{urlencode({'id': galaxy_id})}" if address else ""


def links_row(survey: Survey, values: dict[str, Any]) -> None:
    """Draw links to other services, or say why there are none; the page needs none of them."""
    try:
        found = external_links(
            float(values.get("ra_deg", "nan")), float(values.get("dec_deg", "nan")), survey.source, sdss_ids(values)
        )
    except (ConfigError, CoordinateError) as error:
        st.caption(f"Other services: {error}")
        return
    parts = [" · ".join(f"[{link.name}]({link.url})" for link in found.links)] if found.links else []
    label = "Other services (needs internet):" if parts else "Other services:"
    st.markdown(" ".join([f"**{label}**", *parts, *found.notes]))


def sdss_ids(values: dict[str, Any]) -> SdssIds:
    """Return what the catalogue says of a galaxy's names in SDSS.

    Raises
    ------
    ConfigError
        If an id is no text of digits.
    """
    objid, specobjid = (str(values[name]) if values.get(name) else None for name in ("objid", "specobjid"))
    place = [values.get(name) for name in ("plate", "mjd", "fiber")]
    if any(part is None or part != part for part in place):  # NaN: no spectrum
        return SdssIds(objid, specobjid)
    return SdssIds(objid, specobjid, *(int(part) for part in place if part is not None))
