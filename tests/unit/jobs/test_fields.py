"""The form's table of settings is that of the trainings, field by field."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from galspec.core.errors import ConfigError, JobError
from galspec.jobs.fields import CNN, NETWORKS, PRESETS, TABLES, VAE, VAE_FIXED, changes_nothing, check_settings
from galspec.jobs.request import toml_text

REPOSITORY_DIR = Path(__file__).resolve().parents[3]


def _config(what: str):
    from galspec.training.config import CnnConfig
    from galspec.training.vae_data import VaeConfig

    return CnnConfig if what == "cnn" else VaeConfig


@pytest.mark.parametrize("what", TABLES)
def test_names_types_and_defaults_are_those_of_the_training(what: str):
    real = {field.name: field.default for field in dataclasses.fields(_config(what)) if field.name not in VAE_FIXED}
    assert {field.name: field.default for field in TABLES[what]} == real
    assert all(type(field.default) is type(real[field.name]) for field in TABLES[what])


@pytest.mark.parametrize("what", TABLES)
def test_the_training_takes_what_the_form_allows(what: str):
    for field in TABLES[what]:
        values = field.choices or (
            (field.low, field.high) if not isinstance(field.default, bool | str) else (True, False)
        )
        for value in values:
            _config(what)(**{field.name: type(field.default)(value)})


@pytest.mark.parametrize("what", TABLES)
def test_what_lies_outside_is_refused_with_the_field_named(what: str):
    for field in TABLES[what]:
        wrong: list = ["no such value"] if not isinstance(field.default, str) else ["no such value", 3]
        if field.high:
            kind = type(field.default)
            wrong += [kind(field.low - 1), kind(field.high + 1), float("nan") if kind is float else None]
        for value in wrong:
            with pytest.raises(JobError) as caught:
                check_settings(what, {field.name: value})
            assert caught.value.field == field.name


def test_networks_and_their_options_are_those_of_the_catalogue():
    from galspec.models.catalog import TRAINABLE_PARAMETERS
    from galspec.training.config import CnnConfig

    assert set(NETWORKS) == set(TRAINABLE_PARAMETERS)
    other = {
        "activation": "relu",
        "self_attention": False,
        "groups": 1,
        "squeeze_excite": False,
        "deconv_iterations": 3,
        "deconv_eps": 1e-3,
    }
    for model in NETWORKS:
        for name, value in other.items():
            is_refused = False
            try:
                CnnConfig(model=model, **{name: value})
            except ConfigError:
                is_refused = True
            assert changes_nothing(name, model) == is_refused, (model, name)
            if is_refused:
                with pytest.raises(JobError) as caught:
                    check_settings("cnn", {"model": model, name: value})
                assert caught.value.field == name


def test_an_unknown_setting_is_refused():
    with pytest.raises(JobError) as caught:
        check_settings("cnn", {"learning_rate": 1.0})
    assert caught.value.field == "learning_rate"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_accepted_and_written_as_toml(name: str):
    from galspec.training.config import config_from_table

    preset = PRESETS[name]
    changed = check_settings(preset.what, preset.settings)
    table = tomllib.loads(toml_text(preset.what, changed))[preset.what]
    assert table == changed
    config_from_table(_config(preset.what), table, name)


def test_every_network_has_a_preset():
    models = {
        check_settings("cnn", preset.settings).get("model", NETWORKS[0])
        for preset in PRESETS.values()
        if preset.what == "cnn"
    }
    assert models == set(NETWORKS)


def test_the_shipped_vae_s_preset_is_its_file():
    table = tomllib.loads((REPOSITORY_DIR / "configs" / "vae.toml").read_text())["vae"]
    known = {field.name for field in VAE}
    assert (
        check_settings("vae", {key: value for key, value in table.items() if key in known})
        == PRESETS["vae-shipped"].settings
    )


def test_every_field_has_the_paper_s_value():
    assert all(field.paper for field in (*CNN, *VAE))
