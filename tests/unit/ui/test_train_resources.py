import pytest

from galspec.jobs.job import Resources
from galspec.ui import train_resources
from galspec.ui.train_resources import precision_note


@pytest.mark.parametrize(
    ("precision", "device", "flags", "is_warned"),
    [
        ("bf16", "cpu", {"avx2"}, True),
        ("bf16", "auto", {"avx2"}, True),
        ("fp32", "cpu", {"avx2"}, False),
        ("bf16", "cpu", {"avx2", "avx512_bf16"}, False),
        ("bf16", "cpu", {"asimd", "bf16"}, False),
    ],
)
def test_bfloat16_without_arithmetic_for_it_is_said(monkeypatch, precision, device, flags, is_warned):
    monkeypatch.setattr(train_resources, "_gpus", list)
    monkeypatch.setattr(train_resources, "_processor_flags", lambda: flags)
    assert ("several times slower" in precision_note(precision, Resources(device=device))) is is_warned


def test_another_machine_is_its_own_affair(monkeypatch):
    monkeypatch.setattr(train_resources, "_processor_flags", set)
    assert not precision_note("bf16", Resources(backend="slurm", device="cpu"))


def test_the_flags_of_this_machine_are_read():
    assert train_resources._processor_flags()
