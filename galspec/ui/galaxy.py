"""Parts of the Galaxy page: title, images, numbers, truths, latents."""

import contextlib
import threading
from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit import runtime

from galspec.core.errors import GalspecError
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import galaxy_state as state
from galspec.ui.cache import cutout, survey_key
from galspec.ui.comparison import Comparison
from galspec.ui.copy_link import copy_link
from galspec.ui.galaxy_state import GalaxyView
from galspec.ui.header import badges
from galspec.ui.help import help_button
from galspec.ui.images import band_images, composite_image, missing_share
from galspec.ui.labels import number
from galspec.ui.latent_chart import latent_figure
from galspec.ui.truths import CLASSES, OBSERVATION, truth_table

#: Until the browser has drawn the present galaxy.
_PREPARE_AFTER_S: Final = 0.4


def unknown_galaxy(survey: Survey, view: GalaxyView) -> None:
    """Say that the survey has no such galaxy and offer some that it has."""
    ids = survey.catalog["id"].tolist()
    st.error(f"Survey {survey.name!r} has no galaxy “{view.galaxy_id[:80]}”.")
    st.markdown("The ids most like it:")
    with st.container(horizontal=True):
        for galaxy_id in state.nearest_ids(view.galaxy_id, ids):
            st.button(galaxy_id, key=f"near_{galaxy_id}", on_click=state.go_to, args=(galaxy_id,))
        st.button(
            "A random galaxy",
            key="galaxy_random",
            icon=":material/shuffle:",
            type="primary",
            on_click=lambda: state.go_to(state.random_id(ids)),
        )


def title_line(survey: Survey, view: GalaxyView) -> None:
    """Draw id, badges, the place in the list, and the way to its neighbours."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(view.galaxy_id, width="content", anchor=False)
        badges(survey)
        st.space("stretch")
        place = "not in the list" if view.position is None else f"**{view.position + 1:,}** of {len(view.ids):,}"
        st.markdown(place, width="content", help=f"Filters: {view.query.text or 'none'}")
        for label, step, shortcut in (("Previous", -1, "Left"), ("Next", 1, "Right")):
            target = view.neighbour(step)
            st.button(
                label,
                key=f"galaxy_{label.lower()}",
                shortcut=shortcut,
                disabled=target is None,
                on_click=state.go_to,
                args=(target or view.galaxy_id,),
            )
        if st.button("Browse", key="galaxy_browse", shortcut="B", icon=":material/grid_view:"):
            address.touch()  # Browse comes back as it was left, its page number included
            st.switch_page("pages/browse.py", query_params=view.query.url)
        copy_link()
        help_button("Galaxy", "galaxy_help")


def image_panel(survey: Survey, view: GalaxyView) -> None:
    """Draw the colour composite and the five bands, or say why there are none."""
    try:
        image = cutout(survey, survey_key(survey), view.galaxy_id)
    except GalspecError as error:
        st.error(str(error))
        return
    composite, bands = _pictures(image, survey_key(survey), view.galaxy_id)
    gaps = ", ".join(f"{band} {_percent(share)}" for band, share in missing_share(image).items())
    what = f"{'simulated ' if survey.source == 'SIMULATED' else ''}galaxy {view.galaxy_id}"
    frame = "56 arcsec on a side, north up, east left, 10 arcsec scale bar, circle: 3 arcsec fibre"
    st.image(composite, width="stretch", alt=f"Colour composite (R = z, G = i, B = g) of {what}; {frame}.")
    st.image(
        bands,
        width="stretch",
        alt=f"The bands g, r, i, z, y of {what}, each in grey; {frame}. No data: {gaps or 'none'}.",
    )
    st.caption(
        "R = z, G = i, B = g; bands asinh, linear below 3 sky σ. Yellow circle: 3″ fibre."
        + (f" Hatched: no data ({gaps})." if gaps else "")
    )


def prepare_neighbours(survey: Survey, view: GalaxyView) -> None:
    """Have the pictures of the galaxies before and after this one ready, soon after this page is out."""
    wanted = [galaxy_id for step in (1, -1) if (galaxy_id := view.neighbour(step)) is not None]
    if wanted and runtime.exists():
        timer = threading.Timer(_PREPARE_AFTER_S, _prepare, (survey, survey_key(survey), wanted))
        timer.daemon = True
        timer.start()


def _prepare(survey: Survey, key: str, ids: list[str]) -> None:
    for galaxy_id in ids:
        with contextlib.suppress(GalspecError):  # its own page will say it
            _pictures(cutout(survey, key, galaxy_id), key, galaxy_id)


def _percent(share: float) -> str:
    return "< 1 %" if share < 0.005 else f"{100 * share:.0f} %"


@st.cache_data(show_spinner=False, max_entries=64)
def _pictures(_image: NDArray[np.float32], key: str, galaxy_id: str) -> tuple[bytes, bytes]:  # noqa: ARG001
    return composite_image(_image), band_images(_image)


def numbers(comparison: Comparison) -> None:
    """Draw the numbers that compare prediction and observation."""
    predicted = comparison.scores(comparison.prediction)
    rebuilt = comparison.scores(comparison.reconstruction)
    n_pixels = int(comparison.has_data.sum())
    columns = st.columns(4)
    columns[0].metric(
        "χ²/ν of the prediction",
        number(predicted.chi2_nu, 2) if predicted else "–",
        help=f"Mean of ((predicted − observed)/σ)² over {n_pixels} unmasked pixels; no parameter is fitted to them.",
    )
    columns[1].metric(
        "χ²/ν of the VAE",
        number(rebuilt.chi2_nu, 2) if rebuilt else "–",
        help="The same for the observed spectrum through the VAE: the best that six latents can do.",
    )
    columns[2].metric(
        "RMSE of normalised flux",
        number(predicted.rmse, 4) if predicted else "–",
        help="Root of the mean squared difference between prediction and observed pixels, noise included.",
    )
    columns[3].metric(
        "RMSE ÷ that of the VAE",
        number(predicted.rmse / rebuilt.rmse, 3) if predicted and rebuilt else "–",
        help="1 = as good as this decoder can do for this spectrum.",
    )


def tables(survey: Survey, values: dict[str, Any]) -> None:
    """Draw true classes and truths, and what was observed, with units."""
    is_simulated = survey.source == "SIMULATED"
    left, right = st.columns(2)
    with left:
        st.markdown("**True classes and truths** (known because simulated)" if is_simulated else "**Classes**")
        st.table(truth_table(values, CLASSES), border="horizontal", hide_index=True, alt="True classes and truths")
    with right:
        st.markdown("**Position, redshift, photometry**")
        st.table(truth_table(values, OBSERVATION), border="horizontal", hide_index=True, alt="Position and photometry")


def latents(survey: Survey, comparison: Comparison) -> None:
    """Draw true and predicted latents."""
    if comparison.latent_true is None and comparison.latent_predicted is None:
        return
    st.markdown("**Latents: which one is wrong**")
    pairs = [
        f"{name} {', '.join(f'{value:+.2f}' for value in values)}"
        for name, values in (("observed", comparison.latent_true), ("predicted", comparison.latent_predicted))
        if values is not None
    ]
    st.plotly_chart(
        latent_figure(comparison, source=survey.source),
        key="galaxy_latents",
        config={"displayModeBar": False},
        alt=f"Six latents in standard deviations of the training set: {'; '.join(pairs)}.",
    )
