"""The button that copies the address, and the help dialog: on each page that draws them."""

import importlib

import pytest

from galspec.ui.help import help_text


def _links(at) -> list:
    components = at.get("bidi_component")
    return [element for element in components if "copy_link" in element.proto.component_name]


@pytest.mark.parametrize("page", ["home", "browse", "galaxy", "train"])
def test_a_page_has_one_button_that_copies_its_address(open_page, page):
    at = open_page(page)
    assert len(_links(at)) == 1


def test_help_of_galaxy_names_its_keys_first(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    at.button(key="galaxy_help").click().run()
    assert not at.exception
    text = "\n".join(element.value for element in at.markdown)
    assert "| Galaxy | ← → | previous, next galaxy of the list |" in text


@pytest.mark.parametrize(
    ("page", "module"),
    [("Galaxy", "galaxy_state"), ("Browse", "browse_state"), ("Latents", "latent_state"), ("Train", "train_state")],
)
def test_every_parameter_that_a_page_writes_is_in_the_help(page, module):
    state = importlib.import_module(f"galspec.ui.{module}")
    names = getattr(state, "URL_NAMES", None) or state._URL_NAMES
    rows = "\n".join(row for row in help_text(page).splitlines() if row.startswith(f"| {page} | `"))
    assert [name for name in names if f"`{name}`" not in rows] == []
