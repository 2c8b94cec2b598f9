"""Galaxy: redshift to try, frame, own lines, pinned predictions, percentiles; all of it in the address."""

import base64
import json
import shutil

import numpy as np
import pytest

from galspec.core.wavelength import air_to_vacuum
from galspec.inference.scores import ModelPair, score_survey
from galspec.models.bundle import load_predictor_bundle, load_vae_bundle
from galspec.store.survey import open_survey

GALAXY, NEXT = "sim1-00000031", "sim1-00000038"


def _figure(at) -> dict:
    return json.loads(at.get("plotly_chart")[0].proto.spec)


def _x(trace: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(trace["x"]["bdata"]), trace["x"]["dtype"])


def _range(at, axis: str = "xaxis") -> list[float]:
    return _figure(at)["layout"][axis]["range"]


def _param(at, name: str) -> str | None:
    value = at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def _words(at) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption])


def _warnings(at) -> str:
    return "\n".join(element.value for element in at.warning)


def _catalog_z(toy_survey_dir, galaxy_id: str = GALAXY) -> float:
    survey = open_survey(toy_survey_dir)
    return float(survey.catalog["redshift"].iloc[survey.row(galaxy_id)])


def _names(at) -> list[str]:
    return [trace.get("name", "") for trace in _figure(at)["data"]]


def test_at_first_the_redshift_is_the_catalogues(open_page, toy_survey_dir):
    z0 = _catalog_z(toy_survey_dir)
    at = open_page("galaxy", id=GALAXY)
    assert at.number_input(key="galaxy_z").value == z0
    assert at.slider(key="galaxy_z_fine").value == 0.0
    assert at.button(key="galaxy_z_reset").disabled
    assert "z" not in at.query_params
    np.testing.assert_array_equal(_x(_figure(at)["data"][0]), _x(_figure(at)["data"][1]))


def test_the_box_moves_pixels_not_the_window_and_says_so(open_page, toy_survey_dir):
    z0 = _catalog_z(toy_survey_dir)
    at = open_page("galaxy", id=GALAXY, win="4800,5100")
    numbers = [metric.value for metric in at.metric]
    at.number_input(key="galaxy_z").set_value(0.08321).run()
    assert _range(at) == [4800.0, 5100.0]
    assert (_param(at, "z"), _param(at, "win")) == ("0.08321", "4800.0,5100.0")
    observed, predicted = (_x(trace) for trace in _figure(at)["data"][:2])
    np.testing.assert_allclose(observed / predicted, (1 + z0) / 1.08321)
    assert [metric.value for metric in at.metric] == numbers
    velocity = f"{299792.458 * (0.08321 - z0) / (1 + z0):+.1f}".replace("-", "−")
    assert f"= {velocity} km/s" in _words(at)
    assert "the numbers below stay those at the catalogue's z" in _words(at)
    at.button(key="galaxy_z_reset").click().run()
    assert at.number_input(key="galaxy_z").value == z0
    assert "z" not in at.query_params


def test_the_slider_is_an_offset_from_the_box_and_keeps_its_middle(open_page):
    at = open_page("galaxy", id=GALAXY, z="0.0832145")
    assert at.number_input(key="galaxy_z").value == 0.0832145
    at.slider(key="galaxy_z_fine").set_value(0.00123).run()
    assert _param(at, "z") == "0.0844445"
    at.slider(key="galaxy_z_fine").set_value(-0.01).run()
    assert _param(at, "z") == "0.0732145"
    at.slider(key="galaxy_z_fine").set_value(0.0).run()
    assert _param(at, "z") == "0.0832145"
    at.number_input(key="galaxy_z").set_value(0.05).run()
    assert at.slider(key="galaxy_z_fine").value == 0.0


def test_another_galaxy_starts_at_its_own_redshift(open_page, toy_survey_dir):
    at = open_page("galaxy", id=GALAXY, z="0.2", win="ha")
    at.button(key="galaxy_next").click().run()
    assert at.number_input(key="galaxy_z").value == _catalog_z(toy_survey_dir, NEXT)
    assert "z" not in at.query_params
    assert _range(at) == [6460.0, 6820.0]


@pytest.mark.parametrize("text", ["far", "nan", "-3", "1e9"])
def test_a_bad_redshift_is_one_sentence(open_page, toy_survey_dir, text):
    at = open_page("galaxy", id=GALAXY, z=text)
    assert "The URL's z is ignored" in _warnings(at)
    assert at.number_input(key="galaxy_z").value == _catalog_z(toy_survey_dir)


def test_far_away_no_pixel_is_left_and_the_page_says_how_many(open_page):
    at = open_page("galaxy", id=GALAXY, z="9.5")
    assert not at.exception
    assert "pixels lie outside the prediction's range" in _words(at)


def test_f_swaps_the_axes_and_keeps_the_window(open_page, toy_survey_dir):
    z0 = _catalog_z(toy_survey_dir)
    at = open_page("galaxy", id=GALAXY, win="hb")
    at.button(key="galaxy_frame_swap").click().run()
    np.testing.assert_allclose(_range(at), [4780.0 * (1 + z0), 5080.0 * (1 + z0)])
    np.testing.assert_allclose(_range(at, "xaxis2"), [4780.0, 5080.0])
    assert (_param(at, "frame"), _param(at, "win")) == ("obs", "hb")
    assert _figure(at)["layout"]["xaxis"]["title"]["text"].startswith("Observed wavelength, vacuum [Å]")
    at.button(key="galaxy_next").click().run()
    assert _param(at, "frame") == "obs"
    at.button(key="galaxy_frame_swap").click().run()
    assert _range(at) == [4780.0, 5080.0]
    assert "frame" not in at.query_params


def test_in_the_observed_frame_the_pixels_stand_still(open_page):
    at = open_page("galaxy", id=GALAXY, win="4800,5100", frame="obs")
    window, pixels = _range(at), _x(_figure(at)["data"][0])
    at.number_input(key="galaxy_z").set_value(0.08).run()
    np.testing.assert_allclose(_range(at), window, rtol=1e-9)
    np.testing.assert_allclose(_x(_figure(at)["data"][0]), pixels, rtol=1e-12)


def test_back_takes_redshift_frame_and_pins_back(open_page, toy_survey_dir):
    at = open_page("galaxy", id=GALAXY, z="0.08", frame="obs", pin=NEXT, line="5303.0")
    at.query_params.clear()
    at.query_params["id"] = GALAXY
    at.run()
    assert at.number_input(key="galaxy_z").value == _catalog_z(toy_survey_dir)
    assert at.button_group(key="galaxy_frame").value == "rest"
    assert f"predicted for {NEXT}" not in _names(at)
    assert "line" not in at.query_params


def test_browse_and_back_by_the_menu_keeps_the_view(open_page):
    at = open_page("galaxy", id=GALAXY, z="0.08", frame="obs", pin=NEXT, line="5303.0", win="hb")
    before = _figure(at)
    at.query_params.clear()
    at.switch_page("pages/browse.py").run()
    at.query_params.clear()
    at.switch_page("pages/galaxy.py").run()
    assert not at.exception
    assert _figure(at) == before
    assert (_param(at, "z"), _param(at, "frame"), _param(at, "pin")) == ("0.08000", "obs", NEXT)


def test_pinned_predictions_are_smoothed_like_the_others(open_page):
    at = open_page("galaxy", id=GALAXY, pin=NEXT)
    place = _names(at).index(f"predicted for {NEXT}")
    sharp = _figure(at)["data"][place]["y"]["bdata"]
    at.slider(key="galaxy_smooth").set_value(3.0).run()
    assert _figure(at)["data"][place]["y"]["bdata"] != sharp


def test_an_unknown_frame_is_one_sentence(open_page):
    at = open_page("galaxy", id=GALAXY, frame="lab")
    assert "“lab” is neither rest nor obs" in _warnings(at)
    assert at.button_group(key="galaxy_frame").value == "rest"


def test_a_feature_gives_a_redshift_to_use(open_page):
    at = open_page("galaxy", id=GALAXY)
    at.selectbox(key="galaxy_feature_line").set_value("Halpha")
    at.number_input(key="galaxy_feature_wave").set_value(6564.61 * 1.07).run()
    assert "z = 0.07000" in _words(at)
    assert "z" not in at.query_params  # offered, not taken
    at.button(key="galaxy_feature_use").click().run()
    assert _param(at, "z") == "0.07000"
    at.number_input(key="galaxy_feature_wave").set_value(1200.0).run()
    assert "Halpha cannot be there" in _warnings(at)


def test_l_goes_round_the_choices_of_lines(open_page):
    at = open_page("galaxy", id=GALAXY)
    seen = []
    for _ in range(3):
        at.button(key="galaxy_lines_swap").click().run()
        seen.append(at.button_group(key="galaxy_lines").value)
    assert seen == ["all", "none", "major"]


def _add(at, wave: float | None, medium: str = "vacuum", name: str = ""):
    at.number_input(key="galaxy_line_wave").set_value(wave)
    at.button_group(key="galaxy_line_medium").set_value(medium)
    at.text_input(key="galaxy_line_name").set_value(name)
    at.button(key="galaxy_line_add").click()
    return at.run()


def test_own_lines_are_added_named_and_removed(open_page):
    at = open_page("galaxy", id=GALAXY, win="5050,5600", z="0.1")
    _add(at, 5302.86, "air", "Fe14")
    _add(at, 5500.0 * 1.1, "observed")
    assert _param(at, "line") == f"{float(air_to_vacuum(5302.86)):.3f}:Fe14,5500.0"
    assert at.number_input(key="galaxy_line_wave").value is None
    texts = [note["text"] for note in _figure(at)["layout"]["annotations"]]
    assert {"Fe14", "5500.0"} <= set(texts)
    at.button(key="galaxy_next").click().run()
    assert "Fe14" in _param(at, "line")
    at.button(key="galaxy_line_remove_5500.0").click().run()
    assert _param(at, "line") == f"{float(air_to_vacuum(5302.86)):.3f}:Fe14"
    at.button_group(key="galaxy_lines").set_value("none").run()
    assert "Fe14" not in [note["text"] for note in _figure(at)["layout"]["annotations"]]


def test_what_cannot_be_added_is_one_sentence(open_page):
    at = open_page("galaxy", id=GALAXY)
    assert "give a wavelength" in _warnings(_add(at, None))
    assert "lies outside 2000–20000 Å" in _warnings(_add(at, 12.0))
    assert "the name" in _warnings(_add(at, 5303.0, name="a,b"))
    assert "line" not in at.query_params


def test_lines_of_the_address_are_drawn_and_bad_ones_reported(open_page):
    at = open_page("galaxy", id=GALAXY, line="5303.0,blue,4472.73:He I")
    assert "“blue” is no wavelength" in _warnings(at)
    assert _param(at, "line") == "4472.73:He I,5303.0"


def test_a_pinned_galaxy_stays_while_the_reader_walks_on(open_page):
    at = open_page("galaxy", id=GALAXY)
    at.button(key="galaxy_pin").click().run()
    assert _param(at, "pin") == GALAXY
    assert f"predicted for {GALAXY}" not in _names(at)  # it is this galaxy's prediction already
    at.button(key="galaxy_next").click().run()
    assert f"predicted for {GALAXY}" in _names(at)
    at.button(key=f"galaxy_unpin_{GALAXY}").click().run()
    assert f"predicted for {GALAXY}" not in _names(at)
    assert "pin" not in at.query_params


def test_at_most_three_are_pinned(open_page):
    ids = [f"sim1-{number:08d}" for number in (3, 10, 17, 24)]
    at = open_page("galaxy", id=GALAXY, pin=",".join(ids))
    assert "At most 3 galaxies can be pinned" in _warnings(at)
    assert [name for name in _names(at) if name.startswith("predicted for")] == [
        f"predicted for {galaxy_id}" for galaxy_id in ids[:3]
    ]
    assert at.button(key="galaxy_pin").disabled


def test_an_unknown_pinned_galaxy_is_one_sentence(open_page):
    at = open_page("galaxy", id=GALAXY, pin="nonsense,sim1-00000003")
    assert "has no galaxy “nonsense” to pin" in _warnings(at)
    assert _param(at, "pin") == "sim1-00000003"


def test_a_pinned_galaxy_without_a_prediction_is_one_sentence(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_MODEL", str(tmp_path / "none"))
    at = open_page("galaxy", id=GALAXY, pin=NEXT)
    assert f"Pinned galaxy {NEXT} has no prediction to draw." in _warnings(at)


def test_without_scores_the_percentile_names_its_command(open_page):
    at = open_page("galaxy", id=GALAXY)
    assert any("python -m galspec predict --survey" in caption.value for caption in at.caption)


def test_percentiles_are_counted_among_held_out_galaxies(
    open_page, monkeypatch, tmp_path, toy_survey_dir, toy_model_dirs
):
    folder = tmp_path / "scored"
    shutil.copytree(toy_survey_dir, folder)
    survey = open_survey(folder)
    models = ModelPair(load_predictor_bundle(toy_model_dirs[1]), load_vae_bundle(toy_model_dirs[0]))
    scores = score_survey(models, survey, survey.prediction_path("toy-cnn"))
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    row = survey.row(GALAXY)
    held_out = survey.catalog["split"].to_numpy() != "train"
    ratio = scores.frame["rmse_ratio"].to_numpy()
    share = 100.0 * np.mean(ratio[held_out] <= ratio[row])
    at = open_page("galaxy", id=GALAXY)
    line = next(caption.value for caption in at.caption if caption.value.startswith("Among "))
    assert line.startswith(f"Among {held_out.sum()} held-out galaxies")
    assert f"RMSE ÷ that of the VAE {ratio[row]:.2f}, {share:.0f} % have at most that" in line
    assert ("train split" in line) == (not held_out[row])
