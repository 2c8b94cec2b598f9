"""The button that copies the address, and the help dialog: on each page that draws them."""

import pytest

from galspec.ui.help import help_text


def _links(at) -> list:
    components = at.get("bidi_component")
    return [element for element in components if "copy_link" in element.proto.component_name]


@pytest.mark.parametrize("page", ["home", "galaxy"])
def test_a_page_has_one_button_that_copies_its_address(open_page, page):
    at = open_page(page)
    assert len(_links(at)) == 1


def test_help_of_galaxy_names_its_keys_first(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    at.button(key="galaxy_help").click().run()
    assert not at.exception
    text = "\n".join(element.value for element in at.markdown)
    assert "| Galaxy | ← → | previous, next galaxy of the list |" in text


def test_every_parameter_that_galaxy_writes_is_in_the_help():
    from galspec.ui.galaxy_state import URL_NAMES

    rows = [row for row in help_text("Galaxy").splitlines() if row.startswith("| Galaxy | `")]
    named = "\n".join(rows)
    assert all(f"`{name}`" in named for name in URL_NAMES)
