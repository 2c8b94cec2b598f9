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
        ("F", "rest or observed wavelengths below"),
        ("L", "line markers: major, all, none"),
        ("P", "pin this galaxy's predicted spectrum, to see it beside others"),
        ("0-5", "score of the verdict, saved at once"),
        ("B", "back to Browse, as it was left"),
        ("H", "this help"),
    ),
    "Browse": (
        ("click on a card", "open the galaxy; its box selects it"),
        ("← →", "previous, next page; with a card in focus (Tab, or a click on its box) the arrow keys walk the cards"),
        ("Enter", "open the card in focus"),
        ("x", "select the card in focus, or not"),
        ("0-5", "score the card in focus, saved at once"),
        ("F", "into the filter"),
        ("L", "cards, table, plot"),
        ("drag in the plot", "select every galaxy in the region"),
        ("H", "this help"),
    ),
    "Latents": (
        ("drag a slider", "the spectrum follows; the server hears of it when you let go"),
        ("← →", "on a slider: 0.05 σ, with Shift 0.5 σ"),
        ("double-click on a slider", "0"),
        ("drag in the map", "select every galaxy in the region"),
        ("H", "this help"),
    ),
    "Train": (("H", "this help"),),
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
        ("`win`", "window: `full`, `oii`, `hb`, `mgb`, `nad`, `ha`, or two rest wavelengths in Å, `3700,4100`"),
        ("`z`", "redshift to try, `0.08321`; without it the catalogue's"),
        ("`frame`", "`rest`, `obs`: of the bottom axis"),
        ("`lines`", "`major`, `all` (with those of the night sky), `none`"),
        ("`line`", "up to 8 lines of your own, rest wavelengths in vacuum, named or not: `5303.0,4472.7:He I`"),
        ("`pin`", "up to 3 galaxies whose predicted spectra are drawn too, `ID,ID`"),
        ("`smooth`", "0 to 10 pixels"),
        ("`panel`", "`measured`, `similar`"),
    ),
    "Browse": (
        ("`/browse`", "`q`: filters such as `class=SF & z<0.1`, `cone(41.08,+51.26,1 arcmin)`, `list=3f2a9c1b07de`"),
        ("`sort`", "`r`, `-z`, `-err`, `-novelty`, `sep`, `random(7)`, `like(sim1-00000003,image)` ..."),
        ("`view`", "`cards`, `table`, `plot`"),
        ("`page`, `per`", "page, and galaxies a page: 24, 48, 96"),
    ),
    "Latents": (
        (
            "`/latents`",
            "`from`: galaxy; `start`: `predicted`, `observed`, `mean`; `lat`: six numbers `0.12,-1.3,0,0,0,0`",
        ),
        ("`to`", "galaxy to interpolate to"),
        ("`panel`, `by`", "`nearest`, `map`, `traverse`, `meaning`, `files`, `none`; `observed`, `predicted`"),
        ("`x`, `y`, `color`", "of the map"),
        ("`plain`", "`1`: sliders decoded on the server"),
    ),
    "Train": (
        ("`/train`", "`job`: id of a job, its page; `new`: preset of the form; `compare`: ids of jobs"),
        (
            "`panel`, `x`, `log`, `smooth`",
            "of a job: what is shown below, `step`, `epoch` or `hours`, logarithmic error, mean of 5, 20 or 100",
        ),
    ),
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
