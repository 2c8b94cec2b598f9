"""Progress, time left, differences between jobs, sampled spectra."""

import json

import numpy as np
import pytest

from galspec.core.errors import BundleError
from galspec.core.home import shipped_weights_dir
from galspec.jobs.progress import differing, progress_of
from galspec.jobs.samples import read_vae_decoder, sample_epochs


def _row(epoch: int, batch: int, time: float) -> dict:
    return {"kind": "progress", "epoch": epoch, "batch": batch, "n_batches": 10, "time": time}


def test_the_time_left_follows_from_the_present_speed():
    rows = [_row(1, batch, 100.0 + 2.0 * batch) for batch in range(1, 11)]
    progress = progress_of(rows, n_epochs=4)
    assert progress.fraction == pytest.approx(0.25)
    assert progress.eta_s == pytest.approx(60.0)  # 20 s an epoch, three left


def test_the_pause_before_a_resume_is_no_speed():
    rows = [_row(1, 1, 100.0), _row(1, 2, 102.0), _row(1, 3, 9000.0), _row(1, 4, 9002.0)]
    assert progress_of(rows, 1, since=8990.0).eta_s == pytest.approx(12.0)
    assert progress_of(rows[:3], 1, since=8990.0).eta_s is None
    assert progress_of(rows, 1, is_live=False).eta_s is None


def test_no_metrics_are_no_progress():
    assert progress_of([], 10).fraction == 0.0
    assert progress_of([{"kind": "samples", "epoch": 3}], 10).epoch == 0


def test_a_vae_counts_epochs():
    rows = [{"kind": "epoch", "epoch": n, "best_epoch": n, "time": 10.0 * n} for n in (1, 2, 3)]
    progress = progress_of(rows, 5)
    assert (progress.epoch, progress.best_epoch) == (3, 3)
    assert progress.eta_s == pytest.approx(20.0)


def test_only_differences_are_shown():
    assert differing([{"a": 1}, {"a": 1}]) == []
    assert differing([]) == []


def test_damaged_samples_are_left_out():
    good = {"kind": "samples", "epoch": 1, "ids": ["a"], "latents": [[0.0] * 6], "targets": [[1.0] * 6]}
    bad = [{**good, "latents": "x"}, {**good, "ids": []}, {"kind": "samples"}, {"kind": "epoch"}]
    assert [one.ids for one in sample_epochs([*bad, good])] == [("a",)]


def test_the_decoder_of_a_vae_without_torch_is_that_of_torch():
    import torch

    from galspec.models.bundle import load_vae_bundle

    folder = shipped_weights_dir() / "vae6"
    latents = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    wanted = np.asarray(load_vae_bundle(folder).decoder.decode(torch.from_numpy(latents)))
    np.testing.assert_allclose(read_vae_decoder(folder).decode(latents), wanted, atol=1e-4)


def test_a_missing_vae_is_said(tmp_path):
    with pytest.raises(BundleError, match="cannot be read"):
        read_vae_decoder(tmp_path)
    (tmp_path / "weights.safetensors").write_text(json.dumps({}))
    with pytest.raises(BundleError, match="cannot be read"):
        read_vae_decoder(tmp_path)
