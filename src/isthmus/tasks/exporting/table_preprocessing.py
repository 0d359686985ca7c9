"""Tables in a graph: numbers and text become features as `data.tables.preparation` makes them, and back.

Numbers are float64 up to their origin, as float32 would round large ones, such as dates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.tables.preparation import Column, Kind
from isthmus.data.tables.treatment import leaves_out
from isthmus.tasks.exporting.preprocessing import Field, Preprocessing
from isthmus.tasks.exporting.quantiles import from_normal, to_normal
from isthmus.tasks.inputs.examples import Accepted

if TYPE_CHECKING:
    import pyarrow as pa

UNSEEN, MISSING = -1, -2  # categories of text that was not in training, and of an empty cell
DAY = 86_400_000  # milliseconds
UNITS = {
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "0 or 1",
    Kind.DATE: "date: days since 1970-01-01, with fractions",
}


class TablePreprocessing(Preprocessing):
    """Rows of a table: the inputs ``numbers`` [N, C], float64, and ``text`` [N, K]; either may be absent.

    Attributes:
        numeric: the columns of ``numbers``, dates and true/false included, in the order of training.
        text: the columns of ``text``.
    """

    origin: Tensor  # [C], float64
    fill: Tensor  # [C], float32; NaN where a row with a missing cell has no result
    lowest: Tensor  # [C], float32
    highest: Tensor  # [C], float32
    order: Tensor  # [F]: where each feature is among those that are computed
    first: Tensor  # [C]: the feature of each numeric column

    def __init__(self, accepted: Accepted) -> None:
        super().__init__(accepted)
        assert accepted.record is not None
        places = list(accepted.record.preparation.places())
        self.refuses_missing = leaves_out(accepted.data)
        self.refuses_unseen = accepted.data.get("unseen", "zero") == "refuse"
        self.numeric = [column for column, _ in places if column.kind is not Kind.CATEGORY]
        self.text = [column for column, _ in places if column.kind is Kind.CATEGORY]
        of = {column.name: place for column, place in places}
        self.spans = [of[column.name] for column in self.text]
        self._set("origin", [column.origin for column in self.numeric], torch.float64)
        fills = [None if self.refuses_missing else column.fill for column in self.numeric]
        self._set("fill", [math.nan if fill is None else fill for fill in fills])
        lowest, highest = (
            [getattr(column, name) for column in self.numeric] for name in ("lowest", "highest")
        )
        self._set("lowest", [-math.inf if limit is None else limit for limit in lowest])
        self._set("highest", [math.inf if limit is None else limit for limit in highest])
        for at, column in enumerate(self.numeric):
            if column.quantiles:
                self._set(f"quantiles_{at}", column.quantiles, torch.float64)
        # features are computed kind by kind: numbers, their indicators, then each text column
        made = [of[column.name].start for column in self.numeric]
        self._set("first", made, torch.int64)
        made = made + [of[column.name].stop - 1 for column in self.numeric if column.indicator]
        made += [feature for span in self.spans for feature in range(span.start, span.stop)]
        self._set("order", np.argsort(made).tolist(), torch.int64)
        count, texts = len(self.numeric), len(self.text)
        meanings = (
            "numbers, dates and true/false, in the order of the columns below; NaN for missing",
            "text, in the order of the columns below; empty for missing",
        )
        self.inputs = [
            *([Field("numbers", "float64", (count,), meanings[0])] if count else []),
            *([Field("text", "text", (texts,), meanings[1])] if texts else []),
        ]
        self.outputs = [
            Field(f"reconstructed_{name}", dtype, shape, f"like {name}")
            for name, dtype, shape, _ in self.inputs
        ]

    def features(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        parts, valid = [], torch.ones_like(inputs[0][:, 0], dtype=torch.bool)
        if self.numeric:
            stored = (inputs[0] - self.origin).float()
            missing = stored.isnan()
            cells = torch.where(missing, self.fill, stored)
            valid = valid & cells.isfinite().all(1)
            parts.append(self._scaled(cells.maximum(self.lowest).minimum(self.highest)))
            if indicators := [at for at, column in enumerate(self.numeric) if column.indicator]:
                parts.append(missing[:, indicators].float())
        for at, column in enumerate(self.text):
            codes = inputs[-1][:, at]
            parts.append(_categories(column, codes))
            if self.refuses_missing:
                valid = valid & (codes != MISSING)
            if self.refuses_unseen:
                valid = valid & (codes != UNSEEN)
        return torch.cat(parts, dim=1)[:, self.order], valid

    def outputs_of(self, stored: Tensor) -> tuple[Tensor, ...]:
        outputs = []
        if self.numeric:
            values = stored[:, self.first].double()
            cells = []
            for at, column in enumerate(self.numeric):
                each = values[:, at]
                if column.quantiles:
                    each = from_normal(each, getattr(self, f"quantiles_{at}"))
                cells.append((each >= 0.5).double() if _is_truth(column) else each)
            outputs.append(torch.stack(cells, dim=1) + self.origin)
        if self.text:
            codes = []
            for column, span in zip(self.text, self.spans, strict=True):
                count, own = len(column.categories), stored[:, span]
                if column.ordinal:
                    codes.append(own[:, 0].round().clamp(0, max(0, count - 1)).long())
                else:
                    codes.append(own[:, :count].argmax(1) if count else own[:, 0].long() * 0 + UNSEEN)
            outputs.append(torch.stack(codes, dim=1))
        return tuple(outputs)

    def arrays(self, given: pa.Table) -> dict[str, np.ndarray]:
        rows, made = given.num_rows, {}
        if self.numeric:
            numbers = np.empty((rows, len(self.numeric)))
            for at, column in enumerate(self.numeric):
                cells = given.column(column.name).to_numpy()
                numbers[:, at] = (
                    cells.astype("datetime64[ms]").astype(np.int64) / DAY
                    if column.kind is Kind.DATE
                    else cells
                )
            made["numbers"] = numbers
        if self.text:
            text = np.empty((rows, len(self.text)), dtype=object)
            for at, column in enumerate(self.text):
                text[:, at] = [cell or "" for cell in given.column(column.name).to_pylist()]
            made["text"] = text
        return made

    def units(self) -> list[np.ndarray]:
        spread = [
            math.nan
            if _is_truth(column)
            else max(column.quantiles) - min(column.quantiles) or 1.0
            if column.quantiles
            else 1 / abs(column.scale)
            for column in self.numeric
        ]
        return ([np.array(spread)] if self.numeric else []) + ([np.array(math.nan)] if self.text else [])

    def columns(self) -> Mapping[str, Any]:
        columns = {
            "numbers": [
                {"name": column.name, "cells": UNITS[Kind.BOOLEAN if _is_truth(column) else column.kind]}
                for column in self.numeric
            ],
            "text": [{"name": column.name, "categories": column.categories} for column in self.text],
        }
        return {name: each for name, each in columns.items() if each}

    def codes(self, text: np.ndarray) -> np.ndarray:
        """Text [N, K] as positions in the categories, which graphs of PyTorch take in its place. int64."""
        numbers = [{name: at for at, name in enumerate(column.categories)} for column in self.text]
        rows = [
            [places.get(cell, UNSEEN) if cell else MISSING for places, cell in zip(numbers, row, strict=True)]
            for row in text.tolist()
        ]
        return np.array(rows, np.int64).reshape(len(text), len(self.text))

    def texts(self, codes: np.ndarray) -> np.ndarray:
        """The inverse of `codes`; "" for none. Shape: [N, K]."""
        known = [np.array([*column.categories, ""], dtype=object) for column in self.text]
        return np.stack([each[codes[:, at]] for at, each in enumerate(known)], axis=1)

    def _scaled(self, cells: Tensor) -> Tensor:
        """Columns with quantiles as values of a normal distribution. Shape: [N, C]."""
        if not any(column.quantiles for column in self.numeric):
            return cells
        return torch.stack(
            [
                to_normal(cells[:, at].double(), getattr(self, f"quantiles_{at}")).float()
                if column.quantiles
                else cells[:, at]
                for at, column in enumerate(self.numeric)
            ],
            dim=1,
        )

    def _set(self, name: str, values: Any, dtype: torch.dtype = torch.float32) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=dtype))


def _is_truth(column: Column) -> bool:
    """Whether cells are decoded to 0 or 1."""
    return column.kind is Kind.BOOLEAN or column.binary


def _categories(column: Column, codes: Tensor) -> Tensor:
    """The features of a text column, from the position of each cell's category. Shapes: [N] -> [N, F]."""
    missing = codes == MISSING
    if column.onehot:
        filled = torch.where(missing, UNSEEN if column.fill is None else int(column.fill), codes)
        features = (filled[:, None] == torch.arange(len(column.categories))).float()
    else:
        features = torch.where(codes < 0, int(column.fill or 0), codes).float()[:, None]
    return torch.cat([features, missing[:, None].float()], dim=1) if column.indicator else features
