"""What mouse, keys and addresses do: one dialog for all pages, the page that asks first."""

from typing import Final

import streamlit as st

#: page -> (mouse or key, what it does)
_KEYS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "Galaxy": (
        ("← →", "previous, next galaxy of the list"),
        ("drag in the plot", "zoom into a range of wavelengths; it stays for the next galaxy"),
        ("Esc", "wavelength window before this one"),
        ("pointer on a line's name", "its wavelength at rest and observed; a click on the legend hides a curve"),
        ("0-5", "score of the verdict, saved at once"),
        ("B", "back to Browse, as it was left"),
        ("H", "this help"),
    ),
    "Home": (
        ("N", "another galaxy"),
        ("G", "open this galaxy"),
        ("B", "go to Browse"),
        ("H", "this help"),
    ),
}
#: page -> (parameter of its address, what it says)
_ADDRESSES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "Galaxy": (
        ("`/galaxy`", "`id`; `q` and `sort`: the list it stands in"),
        ("`win`", "wavelength window: `full`, `oii`, `hb`, `mgb`, `nad`, `ha` or two wavelengths, `3700,4100`"),
        ("`lines`", "`major`, `all`, `none`"),
        ("`smooth`", "0 to 10 pixels"),
        ("`panel`", "`measured`, `similar`"),
    ),
    "Browse": (("`/browse`", "`q`: filters such as `class=SF & z<0.1`; `sort`: `r`, `-z`, `random(7)` ...; `page`"),),
    "Home": (("`/`", "`seed`: which held-out galaxy is drawn"),),
}


def help_text(page: str) -> str:
    """Return keys and parameters of addresses as Markdown tables, those of a page first.

    Parameters
    ----------
    page : str
        Name of the page in the menu.

    Examples
    --------
    >>> help_text("Home").splitlines()[2]
    '| Home | N | another galaxy |'
    """
    return "\n".join(
        [
            *_table("| page | mouse or key | does |", _KEYS, page),
            "",
            "Keys do nothing while you type into a box.",
            "",
            *_table("| page | address | parameters |", _ADDRESSES, page),
            "",
            "An address reproduces the page; *Copy link* copies it. A part that is not understood is reported, not "
            "dropped in silence.",
        ]
    )


def _table(head: str, rows: dict[str, tuple[tuple[str, str], ...]], first: str) -> list[str]:
    pages = sorted(rows, key=lambda page: page != first)  # stable: the others keep their order
    cells = [f"| {page} | {name} | {words} |" for page in pages for name, words in rows[page]]
    return [head, "|---|---|---|", *cells]


@st.dialog("Keys and addresses", width="large")
def help_dialog(page: str) -> None:
    """Show the help of a page."""
    st.markdown(help_text(page))


def help_button(page: str, key: str) -> None:
    """Draw the button that opens the help; H does the same."""
    if st.button("Help", key=key, shortcut="H", icon=":material/help:"):
        help_dialog(page)
