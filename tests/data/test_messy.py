"""What comes of files as people have them: see `messy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.runs.config.compose import compose
from isthmus.runs.config.data import build_data

from .messy import MESSY, Comes


def typed(key, value):
    if isinstance(value, dict):
        return [each for inner, content in value.items() for each in typed(f"{key}.{inner}", content)]
    return [f"{key}={value}"] if not isinstance(value, str) else [f"{key}='{value}'"]


@pytest.mark.parametrize("name", MESSY)
def test_what_comes_of_it(name: str, tmp_path: Path) -> None:
    messy = MESSY[name]
    messy.write(tmp_path / name)
    overrides = [f"data={messy.data}", f"data.path={tmp_path / name}"]
    cfg = compose([*overrides, *typed("data", dict(messy.choices))])
    if not isinstance(messy.outcome, Comes):
        key, says = messy.outcome
        with pytest.raises(BadInput) as caught:
            build_data(cfg)
        line = str(caught.value)
        assert len(line.splitlines()) == 1
        assert line.startswith(key)
        assert says in line
        return
    comes, data = messy.outcome, build_data(cfg)
    source = data.source
    assert (len(source), source.shape) == (comes.rows, comes.shape)
    x = data.scaling(source.take(torch.cat(list(data.split))))
    assert x.isfinite().all()
    if comes.features is not None:
        assert source.preparation.features == comes.features
        assert {each.name for each in source.dropped} == set(comes.left_out)
    if comes.cells is not None:
        origins = np.zeros(source.shape[0])
        for column, place in source.preparation.places():
            origins[place] = column.origin
        first = source.take(torch.tensor([0]))[0].numpy() + origins
        np.testing.assert_allclose(first[: len(comes.cells)], comes.cells, rtol=1e-6)
