"""Panels of the Latents page: nearest galaxies, traverse, meaning."""

import json
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import GalspecError
from galspec.core.home import REPOSITORY_DIR
from galspec.preprocess.spectra import spectrum_norm
from galspec.store.latent_map import nearest_rows
from galspec.store.similar import first_of_each
from galspec.ui import address
from galspec.ui import latent_state as state
from galspec.ui.cache import survey_key, thumbnail_uri
from galspec.ui.gallery import gallery
from galspec.ui.labels import class_word, number
from galspec.ui.latent_figures import neighbours_figure, small_traverses, traverse_figure
from galspec.ui.latent_page import open_galaxy
from galspec.ui.latent_source import KINDS, LatentSource

Floats = NDArray[np.float64]

N_NEAREST: Final = 8
#: Nearest observations that are told apart into galaxies at first.
_N_LOOKED_AT: Final = 64
_N_SPECTRA: Final = 3
TRAVERSE_STEPS: Final = np.linspace(-3.0, 3.0, 13)
_SMALL_STEPS: Final = np.linspace(-3.0, 3.0, 7)
#: A weaker correlation names no latent: `galspec.training.latent_names.MIN_CORRELATION`, which needs torch.
_CLEAR: Final = 0.3
_REPORT: Final = REPOSITORY_DIR / "docs" / "results" / "vae.json"
#: Quantities of the VAE report: key -> words.
_QUANTITIES: Final = {
    "ew_ha_true": "EW(Hα)",
    "dn4000_true": "Dn4000",
    "log_n2": "log10([N II]/Hα)",
    "log_o3": "log10([O III]/Hβ)",
    "log_s2": "log10([S II]/Hα)",
    "balmer_decrement": "Hα/Hβ",
    "a_v": "A_V of the stars",
    "log_ssfr": "log10 sSFR",
    "metallicity": "metallicity",
    "sigma_v": "velocity dispersion",
    "sdss_g_r_fibre": "g − r in the fibre",
    "redshift": "redshift",
    "snr_median": "S/N of the spectrum",
}


def kind_choice() -> str:
    """Draw the choice of which latents of the galaxies are used, and return it."""
    st.session_state.setdefault(state.KIND, state.current_view().kind)
    st.segmented_control(
        "Latents of the galaxies",
        list(KINDS),
        format_func=lambda key: f"Latents {KINDS[key]}",
        key=state.KIND,
        on_change=state.on_kind,
        label_visibility="collapsed",
        width="content",
    )
    return state.current_view().kind


def nearest_panel(source: LatentSource, latent: tuple[float, ...]) -> None:
    """Draw the galaxies nearest to the sliders; a click opens one."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        kind = kind_choice()
        shows_spectra = st.toggle("Show spectra of the nearest three", key="latents_spectra", on_change=address.touch)
    latents = source.latents(kind)
    if latents is None:
        st.info(f"Nearest galaxies need stored latents: {source.scores_problem}", icon=":material/info:")
        return
    rows, distance, n_repeats = _nearest(source, latent, latents)
    opened = gallery(_cards(source, rows, distance), key="latents_nearest", on_open=address.touch)
    n_known = int(np.isfinite(latents).all(axis=1).sum())
    st.caption(
        f"The {len(rows)} nearest of {n_known:,} galaxies by their latents {KINDS[kind]}; d: Euclidean distance in σ. "
        "Updated when a slider is let go of. A click opens the galaxy."
        + (f" {n_repeats} more observations of galaxies shown are left out." if n_repeats else "")
    )
    if shows_spectra:
        _nearest_spectra(source, latent, rows, distance)
    if opened:
        open_galaxy(opened)


def _nearest(
    source: LatentSource, latent: tuple[float, ...], latents: NDArray[np.float32]
) -> tuple[NDArray[np.int64], Floats, int]:
    """Return the nearest galaxies, their distances, and how many repeat observations of them are left out."""
    catalog = source.survey.catalog
    if "group_id" not in catalog:
        return (*nearest_rows(latent, latents, N_NEAREST), 0)
    groups, n = catalog["group_id"].to_numpy(), _N_LOOKED_AT
    while True:  # telling all galaxies of a large survey apart would take seconds
        rows, distance = nearest_rows(latent, latents, n)
        kept = first_of_each(rows, groups, N_NEAREST)
        if len(kept) == N_NEAREST or len(rows) < n:
            break
        n *= 4
    places = np.flatnonzero(np.isin(rows, kept))
    return kept, distance[places], int(places[-1] + 1 - len(kept)) if len(kept) else 0


def _cards(source: LatentSource, rows: NDArray[np.int64], distance: Floats) -> list[dict[str, Any]]:
    survey = source.survey
    cards = []
    records = survey.catalog.iloc[rows].to_dict("records")
    for row, far, values in zip(rows.tolist(), distance.tolist(), records, strict=True):
        redshift = f"z {number(values['redshift'], 4)}"
        word = class_word("galaxy_class", values.get("galaxy_class", ""))
        cards.append(
            {
                "id": values["id"],
                "src": thumbnail_uri(survey, survey_key(survey), row),
                "facts": f"d {number(far, 2)} · {redshift}",
                "class": word,
                "label": f"Open galaxy {values['id']}, distance {far:.2f}, {redshift}, {word}",
            }
        )
    return cards


def _nearest_spectra(
    source: LatentSource, latent: tuple[float, ...], rows: NDArray[np.int64], distance: Floats
) -> None:
    spectra: dict[str, Floats] = {}
    for row, far in zip(rows[:_N_SPECTRA].tolist(), distance.tolist(), strict=False):
        try:
            record = source.survey.spectrum(row)
            norm = float(spectrum_norm(record.flux, record.ivar))
        except GalspecError as error:
            st.warning(str(error))
            continue
        galaxy_id = source.survey.catalog["id"].iloc[row]
        spectra[f"{galaxy_id}, d {far:.2f}"] = np.where(record.ivar > 0, record.flux / norm, np.nan)
    flux = source.decoder.decode([latent])[0].astype(np.float64)
    st.plotly_chart(
        neighbours_figure(flux, spectra, source=source.data_source),
        key="latents_nearest_plot",
        config={"displaylogo": False},
        alt=f"Spectrum decoded from the sliders over the observed spectra of {', '.join(spectra) or 'no galaxy'}.",
    )


def traverse(source: LatentSource, latent: tuple[float, ...], index: int) -> Floats:
    """Return the spectra (13, 1000) along one latent, the others as they are."""
    points = np.tile(np.asarray(latent, np.float64), (len(TRAVERSE_STEPS), 1))
    points[:, index] = TRAVERSE_STEPS
    return source.decoder.decode(points).astype(np.float64)


def traverse_panel(source: LatentSource, latent: tuple[float, ...]) -> int:
    """Draw 13 spectra along one latent; return which."""
    index = st.selectbox(
        "Latent",
        range(source.n_latent),
        format_func=lambda at: f"{source.names[at]}: {source.meanings[at]}",
        key="latents_traverse",
        on_change=address.touch,
        width=360,
    )
    flux = traverse(source, latent, index)
    st.plotly_chart(
        traverse_figure(TRAVERSE_STEPS, flux, source.names[index], source=source.data_source),
        key="latents_traverse_plot",
        config={"displaylogo": False},
        alt=f"13 spectra decoded along {source.names[index]} from −3 to 3 standard deviations, the other latents "
        "as the sliders are.",
    )
    st.caption("13 steps of 0.5 σ; the other latents stand where the sliders are. Animate it beside the sliders.")
    return int(index)


def read_report(vae_sha256: str) -> tuple[dict[str, Any], str]:
    """Return what the VAE report says of the latents' meaning, and why nothing."""
    try:
        report = json.loads(_REPORT.read_text(encoding="utf-8"))
        meaning = report["parts"]["meaning"]
        reported = meaning["provenance"]["vae"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {}, f"the VAE report {_REPORT.name} cannot be read ({error!r}); `python -m galspec vae-report` makes it."
    if reported != vae_sha256:
        return {}, f"the VAE report is of VAE {reported[:12]}, not of {vae_sha256[:12]}, the one in use."
    return dict(meaning), ""


def meaning_panel(source: LatentSource) -> None:
    """Draw names, correlations and traversals of all latents."""
    flux = np.zeros((source.n_latent, len(_SMALL_STEPS), 1000))
    for index in range(source.n_latent):
        points = np.zeros((len(_SMALL_STEPS), source.n_latent))
        points[:, index] = _SMALL_STEPS
        flux[index] = source.decoder.decode(points)
    titles = [f"{name}: {meaning}" for name, meaning in zip(source.names, source.meanings, strict=True)]
    st.plotly_chart(
        small_traverses(_SMALL_STEPS, flux, titles, source=source.data_source),
        key="latents_small",
        config={"displayModeBar": False},
        alt=f"Seven spectra along each latent from the mean: {'; '.join(titles)}.",
    )
    st.caption(
        "F_λ / median(4200–6700 Å) against rest-frame wavelength in vacuum, from −3 σ (dark) to 3 σ (light) in steps "
        "of 1 σ, the other latents at 0."
    )
    report, problem = read_report(source.card.vae_sha256)
    if problem:
        st.info(f"No correlations: {problem}", icon=":material/info:")
        return
    table = correlation_table(report["correlation"], source.names)
    st.table(table, border="horizontal", hide_index=True, alt="Spearman correlations of latents and true quantities")
    st.caption(
        f"Spearman's ρ of the observed spectra's latents with true quantities, {report['n']:,} galaxies of the "
        f"{report['split']} split, {report['source']}. Bold: the strongest of a row, if at least {_CLEAR:g}. The names "
        "above follow quantities measured in spectra of the train split, with [O II] and without metallicity: where "
        "correlations are weak, this table may suggest another name."
    )


def correlation_table(correlation: dict[str, list[float | None]], names: list[str]) -> pd.DataFrame:
    """Return correlations as text: a row a quantity, a column a latent; the strongest of a row is bold if clear."""
    rows = []
    for key, values in correlation.items():
        known = [abs(value) if value is not None else 0.0 for value in values]
        strongest = int(np.argmax(known))
        texts = ["–" if value is None else number(float(value), 2, signed=True) for value in values]
        if known[strongest] >= _CLEAR:
            texts[strongest] = f"**{texts[strongest]}**"
        rows.append([_QUANTITIES.get(key, key), *texts])
    return pd.DataFrame(rows, columns=["Quantity", *names])
