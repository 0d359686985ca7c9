"""Codes as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from isthmus.tasks.embedding.encoded import Encoded
from isthmus.tasks.embedding.mapping import Map
from isthmus.tasks.embedding.rows import PARTS, Rows
from isthmus.tasks.outputs.files import label_column, table_writer, write_array

FORMATS = ("parquet", "csv", "npy")
BLOCK = 65_536  # rows that are written at a time


def write_codes(path: Path, rows: Rows, encoded: Encoded, drawn: Map | None) -> Path:
    """Write a row for each example: row, name, label, part, z_0, ..., mse, x, y.

    ``name``, ``label`` and ``part`` are there if the data have them; ``x`` and ``y`` are the position on the
    map. A .npy file has the codes alone, [N, D]. Incomplete rows (see `Examples`) are empty from ``z_0``
    on, or NaN.

    Args:
        path: a .parquet, .csv or .npy file, which is written atomically.
        rows: N of them.
        encoded: the codes of those that are complete.
        drawn: the map of these; a .npy file needs none.
    """
    examples = rows.examples
    missing = examples.incomplete
    absent = np.zeros(len(examples), bool) if missing is None else missing.numpy()
    place = np.maximum(np.cumsum(~absent) - 1, 0)  # of each row among the complete ones
    if path.suffix == ".npy":
        return write_array(path, np.where(absent[:, None], np.float32("nan"), encoded.codes[place]))
    import pyarrow as pa

    assert drawn is not None
    with table_writer(path) as write:
        for start in range(0, len(rows.examples), BLOCK):
            part = slice(start, min(start + BLOCK, len(rows.examples)))
            columns: dict[str, Any] = {"row": examples.row_numbers(part)}
            if examples.names is not None:
                columns["name"] = [str(examples.names[row]) for row in range(part.start, part.stop)]
            if examples.labels is not None:
                columns["label"] = label_column(examples.labels[part], examples.label_names)
            if rows.parts is not None:
                columns["part"] = np.array(PARTS)[rows.parts[part]]
            own = place[part]
            found = {f"z_{at}": encoded.codes[own, at] for at in range(encoded.codes.shape[1])}
            found |= {"mse": encoded.mse[own], "x": drawn.xy[own, 0], "y": drawn.xy[own, 1]}
            columns |= {name: pa.array(cells, mask=absent[part]) for name, cells in found.items()}
            write(pa.table(columns))
    return path
