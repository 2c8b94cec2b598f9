"""Back and forward, and addresses that are late: the address counts only when no widget caused the run."""


def _text(at) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption])


def _title(at) -> str:
    return at.subheader[0].value


def _set_address(at, **query: str) -> None:
    at.query_params.clear()
    for name, value in query.items():
        at.query_params[name] = value


def _first(at, name: str) -> str | None:
    value = at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def test_back_undoes_a_filter(open_page):
    at = open_page("browse")
    at.button_group(key="browse_class").set_value(["Q"]).run()
    assert "**15** of 60 galaxies" in _text(at)
    _set_address(at)
    at.run()
    assert "**60** of 60 galaxies" in _text(at)
    assert at.button_group(key="browse_class").value == []
    assert "q" not in at.query_params


def test_a_late_address_does_not_undo_the_filter_before(open_page):
    at = open_page("browse", q="class=Q")
    at.slider(key="browse_z").set_value((0.05, 0.2)).run()
    _set_address(at, q="class=Q")  # what a browser still has that was clicked again at once
    at.slider(key="browse_r").set_value((14.5, 17.0)).run()
    assert _first(at, "q") == "class=Q & z>=0.05 & z<=0.2 & r<=17"


def test_back_returns_to_the_window_and_the_galaxy_before(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    at.button_group(key="galaxy_preset").set_value("ha").run()
    at.button(key="galaxy_next").click().run()
    assert (_title(at), _first(at, "win")) == ("sim1-00000038", "ha")
    _set_address(at, id="sim1-00000031", win="ha")
    at.run()
    assert (_title(at), _first(at, "win")) == ("sim1-00000031", "ha")
    _set_address(at, id="sim1-00000031")
    at.run()
    assert at.button_group(key="galaxy_preset").value == "full"
    assert "win" not in at.query_params


def test_a_late_address_does_not_bring_the_last_galaxy_back(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    at.button(key="galaxy_next").click().run()
    _set_address(at, id="sim1-00000031")
    at.button_group(key="galaxy_preset").set_value("ha").run()
    assert (_title(at), _first(at, "id")) == ("sim1-00000038", "sim1-00000038")


def test_the_menu_keeps_filters_page_and_galaxy(open_page):
    at = open_page("browse", q="class=SF,Q", page="2")
    _set_address(at)
    at.switch_page("pages/galaxy.py").run()
    assert "of 30" in _text(at)
    at.button_group(key="galaxy_preset").set_value("mgb").run()
    shown = _title(at)
    _set_address(at)
    at.switch_page("pages/browse.py").run()
    assert (_first(at, "q"), _first(at, "page")) == ("class=SF,Q", "2")
    _set_address(at)
    at.switch_page("pages/galaxy.py").run()
    assert (_title(at), _first(at, "win")) == (shown, "mgb")


def test_an_unknown_id_is_not_remembered(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    _set_address(at, id="nonsense")
    at.run()
    assert at.error
    _set_address(at)
    at.switch_page("pages/browse.py").run()
    at.switch_page("pages/galaxy.py").run()
    assert not at.error
    assert _title(at) == "sim1-00000031"
