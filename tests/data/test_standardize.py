"""Sources standardize in chunks, with the statistics of scikit-learn over all rows at once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from isthmus.data import source
from isthmus.data.source import Source


def standardized(values):
    data = SimpleNamespace(shape=values.shape[1:], take=values.__getitem__)
    return Source._standardize(data, torch.arange(len(values)))


@pytest.mark.parametrize("size", [100, 99, 30, 1])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_standardize_is_scikit_learns(size, offset, monkeypatch):
    monkeypatch.setattr(source, "CHUNK", size * 3 * torch.float64.itemsize)
    values = 10 * torch.randn(100, 3, generator=torch.Generator().manual_seed(0)).double() + offset
    values[:, 0] = 0.1
    scaling = standardized(values)
    truth = StandardScaler().fit(values.numpy())
    np.testing.assert_allclose(scaling.scale, 1 / truth.scale_, rtol=1e-6)  # float32
    np.testing.assert_allclose(scaling.shift, truth.mean_, rtol=1e-6)


def test_one_example_and_spreads_too_small_to_divide_by_keep_scale_1(monkeypatch):
    assert standardized(torch.tensor([[3.0, -1e-42]])).scale.tolist() == [1, 1]
    monkeypatch.setattr(source, "CHUNK", 1)
    assert standardized(torch.tensor([[0.0], [1e-42]])).scale.item() == 1
