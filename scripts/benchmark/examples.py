"""The data of a training case: the very rows that isthmus trains and tests on, as floats in memory."""

from __future__ import annotations

from typing import Any, NamedTuple
from unittest import mock

from cases import Case
from torch import Tensor

import isthmus.data.module
from isthmus.runs.config.compose import compose
from isthmus.runs.config.data import build_data


class Examples(NamedTuple):
    """Shapes: [N, pixels] or [N, 1, H, W], in [0, 1]."""

    train: Tensor
    test: Tensor


def shrink(rows: int) -> None:
    """Let all splits of this process keep their first `rows` rows to train on, a sixth as many to test."""
    whole = isthmus.data.module.draw_split

    def first_rows(*arguments: Any, **keywords: Any) -> Any:
        split = whole(*arguments, **keywords)
        return split._replace(train=split.train[:rows], test=split.test[: -(-rows // 6)])

    mock.patch.object(isthmus.data.module, "draw_split", first_rows).start()


def examples(case: Case, device: str = "cpu") -> Examples:
    """Train and test images of a case on a device."""
    data = build_data(compose(case.overrides))
    parts = (data.scaling(data.source.take(rows)) for rows in (data.split.train, data.split.test))
    return Examples(*((part.flatten(1) if case.flat else part).to(device) for part in parts))
