"""The command line as a whole: help, version, reports, unknown words."""

import json

import pytest

from galspec.cli.main import VERBS, main


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"python -m galspec {verb}" in capsys.readouterr().out


def test_an_unknown_verb_exits_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["conjure"])
    assert stop.value.code == 2
    assert "conjure" in capsys.readouterr().err


def test_report_models_prints_what_the_bundles_say(capsys):
    assert main(["report", "models", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    by_name = {model["name"]: model for model in report["models"]}
    assert by_name["vae6"]["trainable_parameters"] == 1_223_090
    assert by_name["xresnet18-hybrid"]["trainable_parameters"] == 6_734_743
    for model in report["models"]:
        assert model["training_survey"]["source"] == "SIMULATED"
        assert model["scores"]


def test_an_unknown_report_lists_the_known_ones(capsys):
    assert main(["report", "nonsense"]) == 2
    assert "the reports are models, bench" in capsys.readouterr().err


def test_simulate_needs_a_folder(capsys):
    assert main(["simulate", "--n", "3"]) == 2
    assert "--out DIR" in capsys.readouterr().err
