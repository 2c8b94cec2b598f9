import threading

import numpy as np
import pytest
import torch

from galspec.core.errors import ConfigError, ShapeError
from galspec.preprocess.cutouts import ImageScaler
from galspec.training.augment import view_element
from galspec.training.data import DeviceLoader, HostLoader, TrainingSet, make_loader, plan_epoch, plan_in_order

SCALER = ImageScaler(mean=np.array([1.0, 2, 3, 4, 5]), std=np.array([10.0, 20, 30, 40, 50]))
CPU = torch.device("cpu")


def make_set(n: int = 20, size: int = 6) -> TrainingSet:
    rng = np.random.default_rng(7)
    images = rng.normal(size=(n, 5, size, size)).astype(np.float16)
    images[0, 2, 1, 1] = np.nan
    split = np.array(["train"] * (n - 5) + ["valid"] * 4 + ["test"])
    latents = rng.normal(size=(n, 6)).astype(np.float32)
    return TrainingSet(images, latents, split, np.array([f"sim1-{i:08d}" for i in range(n)]))


def test_epoch_visits_each_row_at_most_once_and_repeats_with_seed_and_epoch():
    rows = np.arange(100, 151)
    plan = plan_epoch(rows, 16, seed=5, epoch=2)
    assert [len(selection.rows) for selection in plan] == [16, 16, 16]
    seen = np.concatenate([selection.rows for selection in plan])
    assert len(np.unique(seen)) == 48
    assert set(seen) <= set(rows)
    assert all(np.all(np.diff(selection.rows) > 0) for selection in plan)
    again = plan_epoch(rows, 16, seed=5, epoch=2)
    for one, other in zip(plan, again, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.elements, other.elements)
    other = plan_epoch(rows, 16, seed=5, epoch=3)
    assert not np.array_equal(plan[0].rows, other[0].rows)


def test_few_galaxies_make_one_short_batch():
    assert [len(selection.rows) for selection in plan_epoch(np.arange(5), 16, seed=1, epoch=0)] == [5]


def test_validation_is_in_order_and_complete():
    plan = plan_in_order(np.arange(10), 4)
    np.testing.assert_array_equal(np.concatenate([selection.rows for selection in plan]), np.arange(10))
    assert not np.concatenate([selection.elements for selection in plan]).any()


def test_host_batches_are_turned_scaled_and_have_sky_where_there_are_no_data():
    data = make_set()
    plan = plan_epoch(data.rows("train"), 5, seed=1, epoch=0)
    seen = 0
    for selection, batch in zip(plan, HostLoader(data, SCALER, CPU).batches(plan), strict=True):
        np.testing.assert_array_equal(batch.rows, selection.rows)
        np.testing.assert_array_equal(batch.targets.numpy(), data.latents[selection.rows])
        for image, row, element in zip(batch.images.numpy(), selection.rows, selection.elements, strict=True):
            njy = np.nan_to_num(data.images[row].astype(np.float64), nan=0.0) * 100.0
            expected = (njy - SCALER.mean[:, None, None]) / SCALER.std[:, None, None]
            np.testing.assert_allclose(image, view_element(expected, int(element)), rtol=1e-5, atol=1e-5)
            seen += 1
    assert seen == 15


TREATMENTS = {
    "plain": SCALER,
    "arcsinh": ImageScaler(np.zeros(5), np.ones(5), softening=np.arange(20.0, 70.0, 10.0)),
    "grey": ImageScaler(SCALER.mean, SCALER.std, "grey", weights=np.array([0.3, 0.3, 0.2, 0.1, 0.1])),
    "colour": ImageScaler(SCALER.mean, SCALER.std, "colour", softening=np.full(5, 30.0)),
}


@pytest.mark.parametrize("name", TREATMENTS)
def test_device_loader_gives_the_same_batches(name: str):
    data, scaler = make_set(size=16), TREATMENTS[name]
    plan = plan_epoch(data.rows("train"), 4, seed=1, epoch=0) + plan_in_order(data.rows("valid"), 3)
    host = HostLoader(data, scaler, CPU).batches(plan)
    first = DeviceLoader(data, SCALER, CPU)
    device = first.with_scaler(scaler)
    assert device._images is first._images
    for one, other in zip(host, device.batches(plan), strict=True):
        torch.testing.assert_close(one.images, other.images, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.targets, other.targets, rtol=0, atol=0)
    assert first.scaler is SCALER


@pytest.mark.parametrize("name", TREATMENTS)
def test_training_sees_what_prediction_sees(name: str):
    data, scaler = make_set(size=16), TREATMENTS[name]
    (batch,) = HostLoader(data, SCALER, CPU).with_scaler(scaler).batches(plan_in_order(np.arange(8), 8))
    expected = scaler.apply(data.images[:8].astype(np.float32) * 100.0)
    np.testing.assert_allclose(batch.images.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_memory_map_is_read_like_an_array(tmp_path):
    data = make_set()
    np.save(tmp_path / "images.npy", data.images)
    mapped = TrainingSet(np.load(tmp_path / "images.npy", mmap_mode="r"), data.latents, data.split, data.ids)
    plan = plan_in_order(data.rows("train"), 4)
    for one, other in zip(
        HostLoader(data, SCALER, CPU).batches(plan), HostLoader(mapped, SCALER, CPU).batches(plan), strict=True
    ):
        assert torch.equal(one.images, other.images)


def test_reader_fault_reaches_the_training():
    class Broken:
        shape = (20, 5, 6, 6)

        def __getitem__(self, rows):
            raise OSError("disk gone")

    data = make_set()
    broken = TrainingSet(Broken(), data.latents, data.split, data.ids)
    with pytest.raises(OSError, match="disk gone"):
        list(HostLoader(broken, SCALER, CPU).batches(plan_in_order(data.rows("train"), 4)))


def test_leaving_early_ends_the_reading_thread():
    data = make_set()
    before = threading.active_count()
    batches = HostLoader(data, SCALER, CPU).batches(plan_in_order(data.rows("train"), 1))
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_cpu_uses_the_reading_thread():
    assert isinstance(make_loader(make_set(), SCALER, CPU), HostLoader)


def test_fingerprint_names_the_data():
    data = make_set()
    assert data.fingerprint == make_set().fingerprint
    moved = TrainingSet(data.images, data.latents + 1, data.split, data.ids)
    assert moved.fingerprint != data.fingerprint


def test_bad_sets_are_refused():
    data = make_set()
    with pytest.raises(ShapeError, match="must be"):
        TrainingSet(data.images[:, :4], data.latents, data.split, data.ids)
    with pytest.raises(ShapeError, match="do not match"):
        TrainingSet(data.images, data.latents[:-1], data.split, data.ids)
    latents = data.latents.copy()
    latents[3, 1] = np.nan
    with pytest.raises(ConfigError, match="sim1-00000003"):
        TrainingSet(data.images, latents, data.split, data.ids)
    with pytest.raises(ConfigError, match="valid split"):
        TrainingSet(data.images, data.latents, np.full(20, "train"), data.ids)
