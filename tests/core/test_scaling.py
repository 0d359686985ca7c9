"""The affine map of the data: its formula, its inverse, and that checkpoints carry it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.core.scaling import Scaling

SCALINGS = {
    "identity": lambda: Scaling.unit(),
    "bytes": lambda: Scaling.unit(1 / 255),
    "one number": lambda: Scaling(torch.tensor(0.5), torch.tensor(3.0)),
    "each feature": lambda: Scaling(torch.tensor([0.5, 10.0, 1e-3]), torch.tensor([-1.0, 0.2, 100.0])),
    "doubles": lambda: Scaling(torch.tensor([0.5, 10.0, 1e-3]).double(), torch.zeros(3).double()),
}


def stored(count=100):
    return 10 * torch.randn(count, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SCALINGS)
def test_is_shift_then_scale(name):
    scaling, values = SCALINGS[name](), stored()
    shift = 0.0 if scaling.shift is None else scaling.shift.double().numpy()
    truth = (values.double().numpy() - shift) * scaling.scale.double().numpy()
    assert scaling(values).dtype == torch.float32
    np.testing.assert_allclose(scaling(values), truth, rtol=1e-6, atol=1e-5)  # float32, values of order 100


@pytest.mark.parametrize("name", SCALINGS)
def test_round_trip(name):
    scaling, values = SCALINGS[name](), stored()
    torch.testing.assert_close(scaling.invert(scaling(values)), values, rtol=1e-6, atol=2e-5)  # shift of 100


def test_bytes_come_back_exactly_and_fill_the_unit_interval():
    values = torch.arange(256, dtype=torch.uint8)[:, None]
    scaling = Scaling.unit(1 / 255)
    x = scaling(values)
    assert (x.min().item(), x.max().item()) == (0, 1)
    assert torch.equal(scaling.invert(x).round().to(torch.uint8), values)


def test_standardises():
    values = stored().double()
    x = Scaling(1 / values.std(0), values.mean(0))(values)
    torch.testing.assert_close(x.mean(0), torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(x.std(0), torch.ones(3), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", SCALINGS)
def test_travels_in_the_state_dict(name):
    scaling = SCALINGS[name]()
    state = scaling.state_dict()
    assert set(state) == ({"scale"} if scaling.shift is None else {"scale", "shift"})

    other = SCALINGS[name]()
    for buffer in other.buffers():
        buffer.fill_(7)
    other.load_state_dict(state)
    assert torch.equal(other(stored()), scaling(stored()))


def test_is_not_trained():
    assert not list(SCALINGS["each feature"]().parameters())


@pytest.mark.parametrize(("saved", "built"), [("each feature", "identity"), ("identity", "one number")])
def test_statistics_of_another_kind_are_refused(saved, built):
    with pytest.raises(RuntimeError, match="shift"):
        SCALINGS[built]().load_state_dict(SCALINGS[saved]().state_dict())
