"""Parts of the Browse page: title, tools, the page of cards under them, and what to do when nothing is found."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.coordinates import cone_search
from galspec.store.survey import Survey
from galspec.ui import address, gallery
from galspec.ui import browse_state as state
from galspec.ui.browse_export import export_panel
from galspec.ui.browse_filters import filter_box, sort_like
from galspec.ui.browse_lists import target_panel
from galspec.ui.cache import survey_key
from galspec.ui.card_pictures import COLOUR, PER_PAGE, PICTURES, SIZES, STRETCHES, Look, card_uri, field_words
from galspec.ui.copy_link import copy_link
from galspec.ui.header import badges
from galspec.ui.help import help_button
from galspec.ui.labels import class_word, number
from galspec.ui.query import LIKENESS, SORTS, Query, likeness_distance, random_sort, seed_of, sort_label
from galspec.ui.scored_catalog import ScoredCatalog
from galspec.ui.verdict_panel import save_score, unsaved_verdict

_GALLERY = "browse_gallery"


def go_to_opened() -> None:
    """Leave for the galaxy whose card was clicked, before anything of this page is drawn again."""
    galaxy_id = gallery.just_opened(_GALLERY)
    if galaxy_id:
        state.open_galaxy(galaxy_id, state.current_query())


def title_line(survey: Survey, catalog: ScoredCatalog, n_found: int) -> None:
    """Draw title, badges, live count and order in one line."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Browse", width="content", anchor=False)
        badges(survey)
        st.space("stretch")
        st.markdown(f"**{n_found:,}** of {len(survey):,} galaxies", width="content")
        chosen = st.session_state[state.SORT]
        extra = state.current_query().extra
        sorts = [key for key in SORTS if Query(sort=key, extra=extra).can_sort(catalog.frame)]
        sorts += [random_sort(1)] if seed_of(chosen) is None else []
        sorts += [] if chosen in sorts else [chosen]
        st.selectbox(
            "Order",
            sorts,
            format_func=lambda key: f"Order: {sort_label(key)}",
            key=state.SORT,
            on_change=state.on_filter,
            label_visibility="collapsed",
            width=270,
        )
        if seed_of(chosen) is not None:
            st.button("", key="browse_shuffle", icon=":material/shuffle:", help="Next seed", on_click=state.shuffle)


def tool_line(
    survey: Survey, catalog: ScoredCatalog, query: Query, rows: NDArray[np.int64], page_rows: NDArray[np.int64]
) -> list[str]:
    """Draw the filter's text, target list, view, look and export; return what was wrong with the text."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        problems = filter_box(catalog.frame, query)
        st.segmented_control(
            "View",
            list(state.VIEWS),
            format_func=lambda key: state.VIEWS[key],
            key=state.VIEW,
            required=True,
            on_change=address.touch,
            label_visibility="collapsed",
            width="content",
        )
        with st.popover("Display", key="browse_display"):
            _display_controls(state.look())
        with st.popover("Targets", key="browse_targets", icon=":material/playlist_add_check:"):
            target_panel(catalog.frame)
        if len(rows):
            with st.popover("Export", key="browse_export", icon=":material/download:"):
                export_panel(survey, catalog, rows, page_rows, query)
        copy_link()
        help_button("Browse", key="browse_help")
    return problems


def _display_controls(look: Look) -> None:
    st.segmented_control(
        "Galaxies a page", PER_PAGE, default=look.per_page, key="browse_per", required=True, on_change=_on_look
    )
    st.select_slider("Size of a card (pixels)", SIZES, value=look.size, key="browse_size", on_change=_on_look)
    st.segmented_control(
        "Picture", PICTURES, default=look.picture, key="browse_picture", required=True, on_change=_on_look
    )
    st.select_slider(
        "Stretch: less shows fainter light",
        STRETCHES,
        value=look.stretch,
        format_func=lambda stretch: f"× {stretch:g}",
        key="browse_stretch",
        on_change=_on_look,
    )
    st.toggle("Inverted", look.is_inverted, key="browse_inverted", on_change=_on_look)
    st.toggle(
        "Each galaxy with its own scale",
        look.is_each,
        key="browse_each",
        on_change=_on_look,
        help="Then brightnesses cannot be compared.",
    )


def _on_look() -> None:
    address.touch()
    given = st.session_state
    state.set_look(
        Look(
            per_page=int(given["browse_per"] or PER_PAGE[0]),
            size=int(given["browse_size"]),
            picture=str(given["browse_picture"] or COLOUR),
            stretch=float(given["browse_stretch"]),
            is_inverted=bool(given["browse_inverted"]),
            is_each=bool(given["browse_each"]),
        )
    )


def nothing_found(catalog: ScoredCatalog, query: Query) -> None:
    """Say that no galaxy passes, which is the nearest to a position, and the way on."""
    st.info("No galaxy passes all filters.", icon=":material/filter_alt_off:")
    cone = query.cone
    with st.container(horizontal=True):
        if cone and not cone.missing(catalog.frame):
            ra, dec = catalog.frame["ra_deg"].to_numpy(), catalog.frame["dec_deg"].to_numpy()
            found = cone_search(cone.position, cone.radius_arcsec, ra, dec)
            if found.nearest_row is not None and not len(found.rows):
                name = str(catalog.frame["id"].iloc[found.nearest_row])
                wider = dataclasses.replace(cone, radius_arcsec=float(np.ceil(found.nearest_arcsec * 1.01)))
                extra = tuple(wider if node is cone else node for node in query.extra)
                st.markdown(
                    f"The nearest galaxy to the position, **{name}**, is {angle_words(found.nearest_arcsec)} away; the "
                    f"radius is {angle_words(cone.radius_arcsec)}."
                )
                st.button(
                    "Widen the radius to it",
                    key="browse_widen",
                    on_click=state.set_query,
                    args=(catalog.frame, dataclasses.replace(query, extra=extra)),
                )
        st.button("Reset filters", key="browse_reset_empty", type="primary", on_click=state.reset_filters)


def angle_words(arcsec: float) -> str:
    """Write an angle in the unit that suits it.

    Examples
    --------
    >>> angle_words(90.0)
    '1.50 arcmin'
    """
    if arcsec < 60.0:
        return f"{arcsec:.2f} arcsec"
    return f"{arcsec / 60.0:.2f} arcmin" if arcsec < 3600.0 else f"{arcsec / 3600.0:.2f} deg"


def card_page(survey: Survey, catalog: ScoredCatalog, rows: NDArray[np.int64], query: Query) -> None:
    """Draw cards; a click opens the galaxy, a box selects it, a key 0-5 scores it."""
    failed = unsaved_verdict(survey.name)
    if failed:
        st.error(failed)
    look = state.look()
    cards = _cards(survey, catalog, rows, query, look)
    ids = [card["id"] for card in cards]
    page = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]
    opened = gallery.gallery(
        cards,
        _GALLERY,
        address.touch,
        size=look.size,
        page=page,
        on_chosen=lambda: _on_chosen(page, ids),
        on_scored=lambda: _on_scored(survey.name),
        on_turn=_on_turn,
    )
    if opened:
        state.open_galaxy(opened, query)


def _on_chosen(page: str, ids: list[str]) -> None:
    address.touch()
    found = gallery.chosen(_GALLERY)
    if found and found[0] == page:
        state.select_among(ids, found[1])


def _on_scored(survey_name: str) -> None:
    address.touch()
    for galaxy_id, score in gallery.scored(_GALLERY):
        save_score(survey_name, galaxy_id, score)


def _on_turn() -> None:
    state.turn_page(gallery.turned(_GALLERY), st.session_state["browse_n_pages"], st.session_state["browse_shown_page"])


def page_line(rows: NDArray[np.int64], page: int, n_pages: int) -> None:
    """Draw what the cards show, and the way to other pages."""
    look = state.look()
    first = (page - 1) * look.per_page
    st.session_state["browse_n_pages"], st.session_state["browse_shown_page"] = n_pages, page
    pictures = f"{look.words}; {field_words()}. " if state.current_view() == "cards" else ""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(
            f"{pictures}Galaxies {first + 1:,}–{min(first + look.per_page, len(rows)):,} of {len(rows):,}.",
            width="content",
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            for name, step, shortcut in (("Previous page", -1, "Left"), ("Next page", 1, "Right")):
                st.button(
                    name,
                    key=f"browse_{name.split()[0].lower()}",
                    shortcut=shortcut,
                    disabled=not 1 <= page + step <= n_pages,
                    on_click=state.turn_page,
                    args=(step, n_pages, page),
                )
            st.pagination(n_pages, default=page, key=state.page_key(), on_change=address.touch)


def selection_line(catalog: ScoredCatalog, narrow: Callable[[], None]) -> None:
    """Draw what can be done with the selected galaxies; nothing if there are none."""
    chosen = state.selected()
    if not chosen:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{len(chosen):,}** selected", width="content")
        st.button("Show only these", key="browse_only", icon=":material/filter_alt:", on_click=narrow)
        if len(chosen) == 1:
            for by, (_, words) in LIKENESS.items():
                if likeness_distance(catalog.frame, chosen[0], by) is not None:
                    st.button(
                        f"Most like it: {words}",
                        key=f"browse_like_{by}",
                        on_click=sort_like,
                        args=(catalog.frame, chosen[0], by),
                    )
        st.button("Clear selection", key="browse_clear", icon=":material/close:", on_click=_clear)


def _clear() -> None:
    address.touch()
    st.session_state["browse_cleared"] = state.selected()
    state.select([])


def undo_line() -> None:
    """Offer a cleared selection again, once."""
    cleared = st.session_state.pop("browse_cleared", None)
    if cleared:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"Selection of {len(cleared):,} cleared.", width="content")
            st.button("Undo", key="browse_undo", icon=":material/undo:", on_click=_restore, args=(cleared,))


def _restore(ids: list[str]) -> None:
    address.touch()
    state.select(ids)


def _cards(
    survey: Survey, catalog: ScoredCatalog, rows: NDArray[np.int64], query: Query, look: Look
) -> list[dict[str, Any]]:
    key, chosen = survey_key(survey), set(state.selected())
    separation = query.separation_arcsec(catalog.frame)
    cards = []
    for row, values in zip(rows.tolist(), catalog.frame.iloc[rows].to_dict("records"), strict=True):
        facts = [f"z {number(values['redshift'], 4)}"]
        facts += [f"r {number(values['mag_r'], 2)}"] if "mag_r" in values else []
        word = class_word("galaxy_class", values.get("galaxy_class", ""))
        error = f"error {number(values['latent_rmse'], 2)} σ" if "latent_rmse" in values else ""
        if separation is not None:
            error = f"{angle_words(float(separation[row]))} away"
        score = values["verdict_score"]
        marks = [f"★ {score:.0f}"] if np.isfinite(score) else []
        marks += [f"{catalog.repeats[row]} obs."] if catalog.repeats[row] > 1 else []
        said = [*facts, word, error, *marks]
        cards.append(
            {
                "id": values["id"],
                "src": card_uri(survey, key, row, look),
                "facts": " · ".join(facts),
                "class": word,
                "error": error,
                "mark": " · ".join(marks),
                "selected": values["id"] in chosen,
                "score": int(score) if np.isfinite(score) else None,
                "label": f"Open galaxy {values['id']}, {', '.join(part for part in said if part)}",
            }
        )
    return cards
