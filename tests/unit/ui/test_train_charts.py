from typing import Any

import pytest

from galspec.ui.train_charts import (
    MAX_POINTS,
    Curve,
    curves_alt,
    curves_figure,
    gradient_curves,
    latent_curves,
    loss_curves,
    smoothed,
    x_of,
)


def metrics(n: int = 40) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in range(1, n + 1):
        rows.append(
            {"kind": "progress", "epoch": (step - 1) // 10 + 1, "batch": (step - 1) % 10 + 1, "n_batches": 10,
             "step": step, "train_mse": 4.0 / step, "gradient_norm": 1.0 / step, "seconds": 3.0 * step}
        )  # fmt: skip
        if step % 10 == 0:
            rows.append(
                {"kind": "epoch", "epoch": step // 10, "step": step, "train_mse": 4.0 / step, "valid_mse": 5.0 / step,
                 "valid_mse_per_latent": [1.0, 4.0], "seconds": 3.0 * step}
            )  # fmt: skip
    return rows


def test_axes_count_steps_epochs_and_hours():
    row = metrics()[4]
    assert [x_of(row, axis, 0.0) for axis in ("step", "epoch", "hours")] == [5.0, 0.5, 15.0 / 3600]


def test_losses_and_gradient_come_from_their_rows():
    reported, train, valid = loss_curves(metrics(), "step")
    assert (len(reported.y), len(train.y), len(valid.y)) == (40, 4, 4)
    assert valid.y[0] == 0.5
    assert gradient_curves(metrics(), "step")[0].y[:2] == [1.0, 0.5]
    assert [one.y[0] for one in latent_curves(metrics(), "epoch")] == [1.0, 2.0]


def test_mean_is_not_pulled_to_zero_and_ends_near_the_last_values():
    mean = smoothed(Curve("loss", list(range(300)), [2.0] * 200 + [1.0] * 100), 20)
    assert mean.y[0] == 2.0
    assert mean.y[199] == pytest.approx(2.0)
    assert mean.y[-1] == pytest.approx(1.0, abs=1e-3)
    assert 1.0 < mean.y[205] < 2.0


def test_curves_stay_beneath_their_mean():
    curves = loss_curves(metrics(), "step")
    plain = curves_figure(curves, "loss", "step", is_log=False, source="")
    figure = curves_figure(curves, "loss", "step", is_log=False, span=5, source="")
    assert [trace.name for trace in plain.data] == [one.name for one in curves]
    assert [trace.name for trace in figure.data] == [
        *(one.name for one in curves),
        f"{curves[0].name}, mean of about 5 reports",
    ]
    assert list(figure.data[0].y) == list(plain.data[0].y)
    assert figure.data[0].opacity < 1
    assert figure.data[0].line.color == figure.data[3].line.color


def test_axes_stand_before_the_first_value():
    figure = curves_figure(loss_curves([], "step"), "loss", "step", is_log=False, source="")
    assert "No values yet" in figure.layout.annotations[0].text
    assert figure.layout.yaxis.title.text == "loss"


@pytest.mark.parametrize("span", [0, 20])
def test_long_runs_are_thinned(span: int):
    figure = curves_figure(loss_curves(metrics(9000), "step"), "loss", "step", is_log=True, span=span, source="")
    assert sum(len(trace.x) for trace in figure.data) <= MAX_POINTS


def test_alt_text_names_values():
    text = curves_alt(loss_curves(metrics(), "step"), "Loss", "step")
    assert "valid, epoch 0.5000 to 0.1250 (4 values)" in text
    assert curves_alt([], "Loss", "step") == "Loss: no values yet."
