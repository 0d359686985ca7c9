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


def write_codes(path: Path, rows: Rows, encoded: Encoded, drawn: Map) -> Path:
    """Write a row for each example: row, name, label, part, z_0, ..., mse, x, y.

    ``name``, ``label`` and ``part`` are there if the data have them; ``x`` and ``y`` are the position on the
    map. A .npy file has the codes alone, [N, D].

    Args:
        path: a .parquet, .csv or .npy file, which is written atomically.
        rows: N of them.
        encoded: their codes.
        drawn: their map.
    """
    if path.suffix == ".npy":
        return write_array(path, encoded.codes)
    import pyarrow as pa

    examples = rows.examples
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
            columns |= {f"z_{at}": encoded.codes[part, at] for at in range(encoded.codes.shape[1])}
            columns |= {"mse": encoded.mse[part], "x": drawn.xy[part, 0], "y": drawn.xy[part, 1]}
            write(pa.table(columns))
    return path
