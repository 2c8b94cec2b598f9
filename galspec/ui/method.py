"""The method in one picture: how an image becomes a spectrum, and what the network was trained to say."""

from typing import Final

import streamlit as st

#: (left, top, width, title, lines) of each box, in the units of the picture.
_BOXES: Final = (
    (4, 10, 150, "Image", ("g r i z y, 224 × 224", "0.25″ a pixel")),
    (196, 10, 170, "Network", ("xresnet18-hybrid", "6.7 million weights")),
    (408, 10, 170, "Six latents", ("standardised", "predicted")),
    (620, 10, 170, "Decoder of the VAE", ("6–110–549–1000", "frozen")),
    (832, 10, 164, "Predicted spectrum", ("rest frame, vacuum", "3388–8310 Å")),
    (4, 128, 150, "Observed spectrum", ("1000 pixels", "gaps masked")),
    (196, 128, 170, "Encoder of the VAE", ("1000–549–110–6", "frozen")),
    (408, 128, 170, "Six latents", ("standardised", "the training target")),
)
_HEIGHT: Final = 66
_LINE: Final = 'fill="none" stroke="currentColor"'
_ALT: Final = (
    "Image, five bands: through the network to six predicted latents, through the frozen decoder of the VAE to the "
    "predicted spectrum. Observed spectrum: through the frozen encoder to six latents, which the network is trained to "
    "predict."
)


def _box(left: int, top: int, width: int, title: str, lines: tuple[str, ...]) -> str:
    middle = left + width / 2
    texts = "".join(
        f'<text x="{middle}" y="{top + 41 + 16 * place}" font-size="12" opacity="0.8">{line}</text>'
        for place, line in enumerate(lines)
    )
    frame = f'<rect x="{left}" y="{top}" width="{width}" height="{_HEIGHT}" rx="6" {_LINE} stroke-opacity="0.5"/>'
    return f'{frame}<text x="{middle}" y="{top + 22}" font-size="14" font-weight="600">{title}</text>{texts}'


def _arrow(x0: float, y0: float, x1: float, y1: float, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    if y0 == y1:
        head = f"M{x1 - 8} {y1 - 4}L{x1} {y1}L{x1 - 8} {y1 + 4}"
    else:
        head = f"M{x1 - 4} {y1 + 8}L{x1} {y1}L{x1 + 4} {y1 + 8}"
    return f'<path d="M{x0} {y0}L{x1} {y1}" {_LINE}{dash}/><path d="{head}" {_LINE}/>'


def method_svg() -> str:
    """Return the picture as SVG in the colour of the text around it."""
    middle = 10 + _HEIGHT / 2
    low = 128 + _HEIGHT / 2
    arrows = [_arrow(left, middle, left + 38, middle) for left in (156, 368, 580, 792)]
    arrows += [_arrow(left, low, left + 38, low) for left in (156, 368)]
    arrows.append(_arrow(493, 126, 493, 80, dashed=True))
    note = '<text x="503" y="108" font-size="12" text-anchor="start" opacity="0.8">mean squared error</text>'
    boxes = "".join(_box(*box) for box in _BOXES)
    return (
        f'<svg viewBox="0 0 1000 200" width="100%" role="img" aria-label="{_ALT}" text-anchor="middle" '
        f'fill="currentColor" style="max-width: 1100px">{boxes}{"".join(arrows)}{note}</svg>'
    )


# A component, because st.html takes SVG out, and a picture of its own would not follow the theme's text colour.
_component = st.components.v2.component(
    "galspec_method", html=method_svg(), css="svg { color: var(--st-text-color); font-family: var(--st-font); }"
)


def method() -> None:
    """Draw the picture."""
    st.markdown("**Method**")
    _component(key="method")
