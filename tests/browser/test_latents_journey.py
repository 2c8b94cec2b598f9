"""Latents in a browser: what moves without the server, that it equals PyTorch, the map, keys, themes, deep links."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from benchmarks.browser import browser_page, running_app
from galspec.core.home import demo_survey_dir, shipped_weights_dir
from galspec.measurement.model_lines import measure_models
from galspec.models.bundle import load_predictor_bundle
from galspec.store.decoder import read_decoder
from galspec.store.latent_density import bundle_density
from galspec.store.latent_map import make_plane, rows_in_box
from galspec.store.scores import read_scores
from galspec.store.survey import open_survey

pytestmark = pytest.mark.timeout(600)
expect.set_options(timeout=60_000)

GALAXY = "sim1-00009921"
MODEL = shipped_weights_dir() / "xresnet18-hybrid"
OPTIONS = ("--survey", str(demo_survey_dir()), "--model", str(MODEL))
LAB = ".latent-lab"


@pytest.fixture(scope="module")
def demo_url(app_options: list[str]) -> Iterator[str]:  # which skips without Chromium
    with running_app(*OPTIONS) as (url, _):
        yield url


@pytest.fixture(scope="module")
def scores():
    return read_scores(open_survey(demo_survey_dir()), "xresnet18-hybrid")


def _open(page: Any, url: str, query: str = f"?from={GALAXY}") -> Any:
    page.goto(f"{url}/latents{query}")
    page.locator(f"{LAB}[data-ready]").wait_for()
    return page.locator(LAB)


def _wait_for_address(page: Any, pattern: str) -> None:
    # Looks at the address itself: the page changes it without loading anything.
    page.wait_for_function(f"new RegExp({json.dumps(pattern)}).test(location.href)", polling=200)


def _curve(page: Any) -> str:
    return page.locator(f"{LAB} .decoded[d]").get_attribute("d")


def _settled(page: Any) -> None:
    page.wait_for_timeout(1200)


def _record_sent(page: Any) -> list[Any]:
    """Collect what the page sends to the server; call it before the page is opened."""
    sent: list[Any] = []

    def keep(frame: Any) -> None:
        sent.append(frame)

    page.on("websocket", lambda socket: socket.on("framesent", keep))
    return sent


def _slider_place(page: Any, index: int, value: float, limit: float = 4.0) -> tuple[float, float]:
    box = page.locator(f"{LAB} .track input").nth(index).bounding_box()
    share = (value + limit) / (2 * limit)
    return box["x"] + 8 + (box["width"] - 16) * share, box["y"] + box["height"] / 2


def _values(lab: Any) -> list[float]:
    return lab.evaluate("root => root.laboratory.inputs.map(({ slide }) => Number(slide.value))")


def test_a_drag_redraws_before_release_and_sends_nothing_until_then(page: Any, demo_url: str):
    sent = _record_sent(page)
    lab = _open(page, demo_url)
    page.locator(".gallery button").nth(7).wait_for()
    _settled(page)
    neighbours = [card.get_attribute("data-id") for card in page.locator(".gallery button").all()]
    before, value = _curve(page), _values(lab)[0]
    frames = int(lab.get_attribute("data-frames"))
    page.mouse.move(*_slider_place(page, 0, value))
    page.mouse.down()
    n_sent = len(sent)
    for share in np.linspace(value, -1.2, 25):
        page.mouse.move(*_slider_place(page, 0, float(share)))
    assert _curve(page) != before
    assert int(lab.get_attribute("data-frames")) - frames >= 10
    assert len(sent) == n_sent
    assert "lat=" not in page.url
    page.mouse.up()
    _wait_for_address(page, r"lat=-1\.\d+")
    assert len(sent) > n_sent
    assert _values(lab)[0] == pytest.approx(-1.2, abs=0.06)
    page.wait_for_function(
        "before => [...document.querySelectorAll('.st-key-latents_nearest *')].some((host) => host.shadowRoot && "
        "[...host.shadowRoot.querySelectorAll('.gallery button')].map((card) => card.dataset.id).join() !== before)",
        arg=",".join(neighbours),
        polling=200,
    )


def test_the_browser_decodes_measures_and_ranks_as_python_does(page: Any, demo_url: str):
    lab = _open(page, demo_url)
    latents = np.random.default_rng(5).normal(0.0, 1.2, (20, 6)).astype(np.float32)
    found = lab.evaluate(
        """(root, latents) => latents.map((latent) => {
             const flux = root.laboratory.model.decode(latent), density = root.laboratory.model.density(latent);
             return { flux: Array.from(flux), density, values: root.laboratory.model.measure(flux) };
           })""",
        latents.tolist(),
    )
    flux = np.array([item["flux"] for item in found])
    bundle = load_predictor_bundle(MODEL)
    # The flux scale is 1: spectra are divided by their median.
    np.testing.assert_allclose(flux, bundle.decode(latents), atol=1e-3)
    expected = read_decoder(MODEL).decode(latents)
    np.testing.assert_allclose(flux, expected, atol=1e-4)
    values = measure_models(expected)
    ew = np.array([item["values"]["ew"] for item in found], float)
    np.testing.assert_allclose(ew, values.ew_halpha, rtol=1e-3, atol=0.01)
    np.testing.assert_allclose([item["values"]["dn4000"] for item in found], values.dn4000, rtol=1e-4)
    for name, python in (("n2", values.log_n2), ("o3", values.log_o3)):
        browser = np.array([np.nan if item["values"][name] is None else item["values"][name] for item in found], float)
        np.testing.assert_array_equal(np.isnan(browser), np.isnan(python))
        np.testing.assert_allclose(browser[values.ew_halpha > 3], python[values.ew_halpha > 3], atol=0.003)
    vae = json.loads((shipped_weights_dir() / "vae6" / "model.json").read_text())["sha256"]
    density = bundle_density(shipped_weights_dir() / "vae6", vae)
    np.testing.assert_allclose([item["density"]["distance"] for item in found], density.distance(latents), rtol=1e-4)
    percentiles = [item["density"]["percentile"] for item in found]
    np.testing.assert_allclose(percentiles, density.percentile(latents), atol=0.05)


def test_keys_double_click_box_and_buttons(page: Any, demo_url: str):
    lab = _open(page, demo_url, f"?from={GALAXY}&start=mean")
    slide, box = page.locator(f"{LAB} .track input").nth(2), page.locator(f"{LAB} .row input[type=number]").nth(2)
    slide.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert _values(lab)[2] == pytest.approx(0.10)
    page.keyboard.press("Shift+ArrowLeft")
    assert _values(lab)[2] == pytest.approx(-0.40)
    _wait_for_address(page, r"lat=0%2C0%2C-0\.4%2C0")
    box.fill("1.37")
    assert _values(lab)[2] == pytest.approx(1.37)
    _wait_for_address(page, r"1\.37")
    page.mouse.dblclick(*_slider_place(page, 2, 1.37))
    expect(box).to_have_value("0.00")
    _wait_for_address(page, r"^(?!.*lat=)")
    box.fill("-2")
    page.locator(f"{LAB} button.zero").click()
    assert _values(lab) == [0.0] * 6
    box.fill("99")
    assert _values(lab)[2] == 4.0  # the end of the slider


def test_far_from_the_training_data_the_curve_is_dashed_and_words_say_so(page: Any, demo_url: str):
    _open(page, demo_url, f"?from={GALAXY}&lat=4,4,-4,4,-4,4")
    expect(page.locator(f"{LAB} .density p")).to_contain_text("Outside the training data")
    assert "outside" in page.locator(f"{LAB} .plot .decoded").get_attribute("class")
    page.locator(f"{LAB} button.zero").click()
    expect(page.locator(f"{LAB} .density p")).not_to_contain_text("Outside")
    assert "outside" not in page.locator(f"{LAB} .plot .decoded").get_attribute("class")


def test_the_live_plots_say_that_they_are_simulated(page: Any, demo_url: str):
    lab = _open(page, demo_url)
    assert lab.locator(".plot .watermark").text_content() == lab.locator(".bpt .source").text_content() == "SIMULATED"


def test_real_galaxies_and_a_model_trained_on_real_ones_are_called_real(page: Any, tmp_path: Path):
    survey = shutil.copytree(demo_survey_dir(), tmp_path / "survey")
    model = shutil.copytree(MODEL, tmp_path / MODEL.name)
    shutil.copytree(MODEL.parent / "vae6", tmp_path / "vae6")
    facts, info = (json.loads(path.read_text()) for path in (survey / "survey.json", model / "model.json"))
    facts["source"] = info["training_survey"]["source"] = "REAL"
    (survey / "survey.json").write_text(json.dumps(facts))
    (model / "model.json").write_text(json.dumps(info))
    with running_app("--survey", str(survey), "--model", str(model)) as (url, _):
        lab = _open(page, url)
        assert lab.locator(".plot .source").text_content() == lab.locator(".bpt .source").text_content() == "REAL"
        assert "SIMULATED" not in lab.text_content()


def test_interpolation_ends_at_the_other_galaxy_and_play_sends_nothing(page: Any, demo_url: str, scores):
    sent = _record_sent(page)
    other = str(scores.frame["id"].iloc[0])
    lab = _open(page, demo_url, f"?from={GALAXY}&to={other}&start=observed")
    mix = page.locator(f"{LAB} .between input")
    mix.focus()
    page.keyboard.press("End")
    np.testing.assert_allclose(_values(lab), scores.latents_observed[0], atol=0.01)
    _wait_for_address(page, "lat=")
    assert page.locator(f"{LAB} .between img").evaluate_all("all => all.every((one) => one.naturalWidth > 0)")
    _settled(page)
    n_sent, before = len(sent), _curve(page)
    page.locator(f"{LAB} .play").click()
    page.wait_for_timeout(1500)  # motion is reduced in tests: a step a second
    assert _curve(page) != before
    assert len(sent) == n_sent
    page.locator(f"{LAB} .play").click()
    page.wait_for_timeout(1000)
    assert len(sent) > n_sent
    stopped = _curve(page)
    page.wait_for_timeout(1300)
    assert _curve(page) == stopped


def test_sliders_stay_when_another_page_was_shown(page: Any, demo_url: str):
    lab = _open(page, demo_url, f"?from={GALAXY}&start=mean")
    page.locator(f"{LAB} .row input[type=number]").nth(0).fill("1.5")
    _wait_for_address(page, r"lat=1\.5")
    page.get_by_role("link", name="Browse").click()
    page.get_by_text("of 3,000 galaxies").wait_for()
    page.get_by_role("link", name="Latents").click()
    page.locator(f"{LAB}[data-ready]").wait_for()
    assert _values(lab)[0] == 1.5
    _wait_for_address(page, r"lat=1\.5")


def _map_pixels(page: Any, points: np.ndarray) -> np.ndarray:
    """Return the place on the page of points (N, 2) of the map."""
    return np.array(
        page.evaluate(
            """(points) => {
                 const plot = document.querySelector('.st-key-latents_map .js-plotly-plot'), l = plot._fullLayout;
                 const box = plot.getBoundingClientRect();
                 return points.map(([x, y]) => [box.x + l.xaxis._offset + l.xaxis.l2p(x),
                                                box.y + l.yaxis._offset + l.yaxis.l2p(y)]);
               }""",
            points.tolist(),
        )
    )


def test_the_map_follows_the_sliders_a_click_chooses_and_a_box_reaches_browse(page: Any, demo_url: str, scores):
    page.set_viewport_size({"width": 1280, "height": 1300})
    _open(page, demo_url, f"?from={GALAXY}&start=mean&panel=map")
    page.wait_for_function(
        "!!document.querySelector('.st-key-latents_map .js-plotly-plot')?._fullLayout?.xaxis?.l2p", polling=200
    )
    _settled(page)
    pin = page.locator(".galspec-latent-pin")
    expect(pin).to_have_attribute("data-x", "0.0000")
    page.mouse.move(*_slider_place(page, 0, 0.0))
    page.mouse.down()
    page.mouse.move(*_slider_place(page, 0, 1.0), steps=5)
    assert float(pin.get_attribute("data-x")) == pytest.approx(1.0, abs=0.06)  # before release
    page.mouse.up()
    _wait_for_address(page, r"lat=")
    latent = [float(pin.get_attribute("data-x")), float(pin.get_attribute("data-y"))]
    box = pin.bounding_box()
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    np.testing.assert_allclose(_map_pixels(page, np.array([latent]))[0], middle, atol=1.0)

    points = make_plane("L1", "L2", scores.latents_observed).project(scores.latents_observed)
    lonely = int(points[:, 1].argmax())  # nothing lies near the outermost
    _settled(page)
    page.mouse.click(*_map_pixels(page, points[lonely : lonely + 1])[0])
    chosen = page.locator(".st-key-latents_chosen_card .gallery button")
    expect(chosen).to_have_attribute("data-id", str(scores.frame["id"].iloc[lonely]))

    page.get_by_role("radio", name="Box").or_(page.get_by_role("button", name="Box", exact=True)).first.click()
    page.wait_for_function(
        "document.querySelector('.st-key-latents_map .js-plotly-plot')?._fullLayout?.dragmode === 'select'", polling=200
    )
    _settled(page)
    corners = np.array([[0.5, -0.5], [1.5, 0.5]])
    (x0, y0), (x1, y1) = _map_pixels(page, corners)
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=8)
    page.mouse.up()
    page.get_by_text("galaxies in the box in L1, L2").wait_for()
    text = page.get_by_text("galaxies in the box in L1, L2").inner_text()
    count = int(re.search(r"([\d,]+) galaxies", text).group(1).replace(",", ""))
    expected = len(rows_in_box(points, corners[:, 0], corners[:, 1]))
    assert expected > 50
    assert count == pytest.approx(expected, abs=0.03 * expected)  # the mouse goes in whole pixels
    page.get_by_role("button", name="Show them in Browse").click()
    page.wait_for_url(re.compile(r"/browse\?q=list%3D[0-9a-f]{12}"))
    page.get_by_text(f"{count:,} of {len(scores.frame):,}").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_deep_link_is_the_first_request_of_a_server_in_both_themes(app_options: list[str], scheme: str):
    with running_app(*OPTIONS) as (url, _), browser_page(scheme=scheme) as page:
        page.set_default_timeout(150_000)
        lab = _open(page, url, f"?from={GALAXY}&start=observed&lat=0.5,-1,0,0,0,0.25")
        assert _values(lab) == [0.5, -1.0, 0.0, 0.0, 0.0, 0.25]
        for name in ("Home", "Browse", "Galaxy", "Latents"):
            assert page.get_by_role("link", name=name).count() == 1
        stroke = "getComputedStyle(root.querySelector('.plot .decoded')).stroke"
        fill = "getComputedStyle(root.querySelector('.plot text')).fill"
        shown = lab.evaluate(f"root => [{stroke}, {fill}]")
        assert shown[0] == {"light": "rgb(0, 114, 178)", "dark": "rgb(86, 180, 233)"}[scheme]
        page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
        page.wait_for_timeout(1000)
        flipped = lab.evaluate(f"root => [{stroke}, {fill}]")
        assert flipped[0] != shown[0]  # the theme changes under a mounted plot
        assert flipped[1] != shown[1]
        assert page.errors == []
