"""Files as people have them, each with what must come of it. To write them: python tests/data/messy.py DIR"""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import feather, parquet

ROWS = 60


class Comes(NamedTuple):
    """What is read from a good file: the shape of an example and some cells.

    Attributes:
        shape: of one example.
        features: the names of the features of a table; None for other data.
        cells: the first unscaled values of the first row; None to compare none.
        rows: number of rows.
        left_out: columns that are no features.
    """

    shape: tuple[int, ...]
    features: list[str] | None = None
    cells: list[float] | None = None
    rows: int = ROWS
    left_out: tuple[str, ...] = ()


class Messy(NamedTuple):
    """A file or a folder.

    Attributes:
        write: writes it to a path.
        outcome: what comes of it, or the line of the error: its key, and a part of what it says.
        choices: keys of the config besides data and data.path.
        data: the config of data.
    """

    write: Callable[[Path], Any]
    outcome: Comes | tuple[str, str]
    choices: Mapping[str, Any] = {}
    data: str = "table"


def table(
    separator: str = ",",
    decimal: str = ".",
    header: str | None = "height,weight,colour",
    *,
    change: Callable[[list[str], int], list[str]] = lambda cells, row: cells,
    before: str = "",
    after: str = "",
    end: str = "\n",
    encoding: str = "utf-8",
    pack: Callable[[bytes], bytes] = lambda content: content,
) -> Callable[[Path], Any]:
    """Write a table of two columns of numbers and one of text, changed by `change(cells, row)`."""
    lines = [] if header is None else [header.replace(",", separator)]
    for row in range(ROWS):
        cells = [f"{1.5 + row / 7:.3f}", f"{60 + row * 1.25:.2f}", ["rot", "grün", "blau"][row % 3]]
        cells = [cell.replace(".", decimal) for cell in cells[:2]] + cells[2:]
        lines.append(separator.join(change(cells, row)))
    content = before + end.join(lines) + end + after
    return lambda path: path.write_bytes(pack(content.encode(encoding)))


def first(cell: str, at: int = 0, row: int = 0) -> Callable[[list[str], int], list[str]]:
    """Replace one cell of one row."""
    return lambda cells, now: [*cells[:at], cell, *cells[at + 1 :]] if now == row else cells


def every_fourth(cell: str, at: int) -> Callable[[list[str], int], list[str]]:
    """Replace one cell of every fourth row."""
    return lambda cells, row: [*cells[:at], cell, *cells[at + 1 :]] if row % 4 == 3 else cells


def front(make: Callable[[int], str]) -> Callable[[list[str], int], list[str]]:
    """Put a cell in front of each row."""
    return lambda cells, row: [make(row), *cells]


COLOURS = ["colour=blau", "colour=grün", "colour=rot"]
USUAL = Comes((5,), ["height", "weight", *COLOURS], [1.5, 60.0, 0.0, 0.0, 1.0])
NO_HEADER = Comes((5,), ["c0", "c1", "c2=blau", "c2=grün", "c2=rot"], [1.5, 60.0, 0.0, 0.0, 1.0])
WITH = "height,weight,colour,"

TABLES: dict[str, Messy] = {
    "plain.csv": Messy(table(), USUAL),
    "semicolon.csv": Messy(table(";"), USUAL),
    "german.csv": Messy(table(";", ","), USUAL),
    "tabs.tsv": Messy(table("\t"), USUAL),
    "pipe.txt": Messy(table("|"), USUAL),
    "blanks.dat": Messy(table("   "), USUAL),
    "latin1.csv": Messy(table(encoding="latin-1"), USUAL),
    "utf16.csv": Messy(table(encoding="utf-16"), USUAL),
    "bom.csv": Messy(table(encoding="utf-8-sig"), USUAL),
    "windows.csv": Messy(table(end="\r\n"), USUAL),
    "packed.csv.gz": Messy(table(pack=gzip.compress), USUAL),
    "packed.csv.bz2": Messy(table(pack=bz2.compress), USUAL),
    "packed.csv.xz": Messy(table(pack=lzma.compress), USUAL),
    "no_header.csv": Messy(table(header=None), NO_HEADER),
    "no_header_german.csv": Messy(table(";", ",", header=None), NO_HEADER),
    "title.csv": Messy(table(before="Messungen 2024\n\n"), USUAL),
    "comments.csv": Messy(table(before="# made by a program\n# on a day\n"), USUAL),
    "pandas_index.csv": Messy(
        table(header=",height,weight,colour", change=front(str)), USUAL._replace(left_out=("",))
    ),
    "r_row_names.csv": Messy(table(change=front(lambda row: f'"{row + 1}"')), USUAL._replace(left_out=("",))),
    "trailing_separator.csv": Messy(
        table(change=lambda cells, row: [*cells, ""]), USUAL._replace(left_out=("",))
    ),
    "identifier.csv": Messy(
        table(header="patient_id,height,weight,colour", change=front(lambda row: str(1000 + 7 * row % 997))),
        USUAL._replace(left_out=("patient_id",)),
    ),
    "uuid.csv": Messy(
        table(header="key,height,weight,colour", change=front(lambda row: f"ab{row * 7919:08x}")),
        USUAL._replace(left_out=("key",)),
    ),
    "constant.csv": Messy(
        table(header="unit,height,weight,colour", change=front(lambda row: "7")),
        USUAL._replace(left_out=("unit",)),
    ),
    "dates.csv": Messy(
        table(header="day,height,weight,colour", change=front(lambda row: f"2024-01-{1 + row % 28:02}")),
        USUAL._replace(left_out=("day",)),
    ),
    "dates_as_numbers.csv": Messy(
        table(header="day,height,weight,colour", change=front(lambda row: f"{1 + row % 28:02}.01.2024")),
        Comes((6,), ["day", *(USUAL.features or [])], [19723.0, 1.5, 60.0]),
        {"dates": "number", "date_format": "%d.%m.%Y"},
    ),
    "dates_of_another_format.csv": Messy(
        table(header="day,height,weight,colour", change=front(lambda row: f"{row % 28 + 1:02}.1.2024 8:30")),
        ("data.date_format", "is not the format of 'day', which has '01.1.2024 8:30' in row 0"),
        {"dates": "number", "date_format": "%d.%m.%Y"},
    ),
    "boolean.csv": Messy(
        table(header="sick,height,weight,colour", change=front(lambda row: str(row % 2 == 0))),
        Comes((6,), ["sick", *(USUAL.features or [])], [1.0, 1.5, 60.0]),
    ),
    "thousands.csv": Messy(
        table(";", change=lambda cells, row: [cells[0], f"{1_234_567 + 3 * row:,}", cells[2]]),
        USUAL._replace(cells=[1.5, 1234567.0]),
    ),
    "german_thousands.csv": Messy(
        table(";", ",", change=lambda cells, row: [cells[0], f"1.{234 + 3 * row:03},5", cells[2]]),
        USUAL._replace(cells=[1.5, 1234.5]),
    ),
    "money.csv": Messy(
        table(change=lambda cells, row: [f"{3 * row}%", f"${cells[1]}", cells[2]]),
        USUAL._replace(cells=[0.0, 60.0]),
    ),
    "two_readings.csv": Messy(
        table(";", change=lambda cells, row: [f"{1 + row % 9},{100 + row}", f"{3 * row}", cells[2]]),
        ("data.csv.decimal=auto", "1,100 can mean 1.100 or 1100"),
    ),
    "point_in_two_readings.csv": Messy(
        table(";", change=lambda cells, row: [f"{1 + row % 9}.{100 + row}", f"{3 * row}", cells[2]]),
        ("data.csv.decimal=auto", "1.100 can mean 1.100 or 1100"),
    ),
    "points_beside_whole_numbers.csv": Messy(
        table(
            change=lambda cells, row: [
                f"{row}" if row % 2 else f"{1 + row % 9}.{100 + row}",
                cells[1],
                cells[2],
            ]
        ),
        USUAL._replace(cells=[1.1, 60.0]),
    ),
    "one_column_of_decimal_commas.csv": Messy(
        lambda path: path.write_text("x\n" + "".join(f"{row % 17},{10 + row}\n" for row in range(ROWS))),
        ("data.csv.separator=auto", "0,10 can be one number or two cells"),
    ),
    "one_column_told.csv": Messy(
        lambda path: path.write_text("x\n" + "".join(f"{row % 17},{10 + row}\n" for row in range(ROWS))),
        Comes((1,), ["x"], [0.1]),
        {"csv": {"decimal": "comma"}},
    ),
    "points_behind_the_sample.csv": Messy(
        lambda path: path.write_text(
            "a;b\n" + "".join(f"{row % 900};{row % 7}\n" for row in range(40_000)) + "1.234;1\n" * 50
        ),
        ("data.csv.decimal=auto", "1.234 in 'a' can mean 1.234 or 1234"),
    ),
    "decimal_points_and_commas.csv": Messy(
        table("\t", header="height,weight", change=lambda cells, row: [f"{row / 7:.2f}", f"0,{100 + row}"]),
        Comes((1,), ["height"], [0.0], left_out=("weight",)),
    ),
    "excel_separator_line.csv": Messy(table(";", ",", before="sep=;\n"), USUAL),
    "units.csv": Messy(
        table(before="", header="height,weight\n[m],[kg]", change=lambda cells, row: cells[:2]),
        Comes((2,), ["height", "weight"], [1.5, 60.0]),
    ),
    "comment_above_a_header.csv": Messy(table("  ", before="# made by a_program\n"), USUAL),
    "savetxt.txt": Messy(
        table(" ", header="# height,weight", change=lambda cells, row: cells[:2]),
        Comes((2,), ["height", "weight"], [1.5, 60.0]),
    ),
    "blanks_at_line_ends.txt": Messy(table("  ", change=lambda cells, row: ["", *cells, "\t"]), USUAL),
    "swiss.csv": Messy(
        table(
            ";",
            change=lambda cells, row: [f"{1 + row % 9}\u2019{234 + row}.50", *cells[1:]],
            encoding="utf-8",
        ),
        USUAL._replace(cells=[1234.5, 60.0]),
    ),
    "accounting.csv": Messy(
        table(";", ",", change=lambda cells, row: [f"({cells[0]})", f"{cells[1]}-", cells[2]]),
        USUAL._replace(cells=[-1.5, -60.0]),
    ),
    "two_currencies.csv": Messy(
        table(change=lambda cells, row: [f"{'$€'[row % 2]}{row + 0.5}", *cells[1:]]),
        USUAL._replace(features=["weight", *COLOURS], shape=(4,), cells=[60.0], left_out=("height",)),
    ),
    "with_units.csv": Messy(
        table(change=lambda cells, row: [f"{cells[0]} m", *cells[1:]]),
        USUAL._replace(features=["weight", *COLOURS], shape=(4,), cells=[60.0], left_out=("height",)),
    ),
    "mostly_numbers.csv": Messy(
        table(change=every_fourth("unknown", 1)), ("data.path=", "'weight' has 'unknown' in row 3")
    ),
    "mostly_german_numbers.csv": Messy(
        table(";", ",", change=first("k.A.", 1, 3)), ("data.path=", "'weight' has 'k.A.' in row 3")
    ),
    "german_dates.csv": Messy(
        table(header="day,height,weight,colour", change=front(lambda row: f"{1 + row % 28:02}.01.2024")),
        USUAL._replace(left_out=("day",)),
    ),
    "blanks_around_text.csv": Messy(
        table(change=lambda cells, row: [*cells[:2], f" {cells[2]}" if row % 2 else f"{cells[2]} "]), USUAL
    ),
    "two_readings_told.csv": Messy(
        table(";", change=lambda cells, row: [f"{1 + row % 9},{100 + row}", f"{3 * row}", cells[2]]),
        USUAL._replace(cells=[1100.0, 0.0]),
        {"csv": {"thousands": "comma"}},
    ),
    "missing.csv": Messy(
        table(change=first("", 1, 3)), ("data.missing=refuse", "1 cell is missing: 'weight' in row 3")
    ),
    "missing_mean.csv": Messy(table(change=first("NA", 1, 3)), USUAL, {"missing": "mean"}),
    "missing_marker.csv": Messy(
        table(change=every_fourth("?", 1)),
        Comes((6,), ["height", "weight", "weight missing", *COLOURS]),
        {"missing": "indicator"},
    ),
    "missing_text.csv": Messy(
        table(change=every_fourth("", 2)),
        Comes((6,), ["height", "weight", *COLOURS, "colour missing"]),
        {"missing": "indicator"},
    ),
    "missing_dropped.csv": Messy(table(change=first("", 0, 3)), USUAL, {"missing": "drop"}),
    "infinite.csv": Messy(
        table(change=first("inf", 0, 3)), ("data.path=", "infinite or beyond float32: 'height'")
    ),
    "one_bad_cell.csv": Messy(table(change=first("n.v.", 0, 3)), ("data.path=", "'n.v.' in row 3")),
    "one_bad_cell_told.csv": Messy(
        table(change=first("n.v.", 0, 3)), USUAL, {"csv": {"na_values": ["n.v."]}, "missing": "median"}
    ),
    "ragged.csv": Messy(table(after="1,2\n"), ("data.path=", "has 2 cells and the others 3")),
    "ragged_skipped.csv": Messy(table(after="1,2\n"), USUAL, {"csv": {"bad_rows": "skip"}}),
    "total_line.csv": Messy(table(after="Total,,,,\n"), ("data.path=", "bad_rows=skip")),
    "large_numbers.csv": Messy(
        table(change=lambda cells, row: [f"{1_700_000_000_000 + 3 * row}", *cells[1:]]),
        USUAL._replace(cells=None),
    ),
    "many_categories.csv": Messy(
        table(header="town,height,weight,colour", change=front(lambda row: f"town {row % 55}")),
        USUAL._replace(left_out=("town",)),
    ),
    "only_text.csv": Messy(
        table(change=lambda cells, row: [f"a{row}", f"b{row}", f"c{row}"]),
        ("data.path=", "no column can be a feature"),
    ),
    "twice.csv": Messy(
        table(header="height,height,colour"),
        USUAL._replace(features=["height", "height.1", *COLOURS]),
    ),
    "empty.csv": Messy(lambda path: path.write_bytes(b""), ("data.path=", "is an empty file")),
    "only_header.csv": Messy(lambda path: path.write_text("a,b\n"), ("data.path=", "no rows")),
    "html.csv": Messy(
        lambda path: path.write_text("<!DOCTYPE html>\n<html><body>404</body></html>\n"), ("data.path=", "")
    ),
    "ordinal.csv": Messy(
        table(), Comes((3,), ["height", "weight", "colour"], [1.5, 60.0, 2.0]), {"categorical": "ordinal"}
    ),
    "frame.parquet": Messy(
        lambda path: parquet.write_table(frame(), path),
        Comes((4,), ["x", "kind=a", "kind=b", "yes"], [0.0, 1.0, 0.0, 1.0]),
    ),
    "frame.feather": Messy(
        lambda path: feather.write_feather(frame(), path),
        Comes((4,), ["x", "kind=a", "kind=b", "yes"], [0.0, 1.0, 0.0, 1.0]),
    ),
}


def frame() -> pa.Table:
    """Numbers, categories and truth values."""
    rows = range(ROWS)
    kinds = pa.array(["a" if row % 2 == 0 else "b" for row in rows]).dictionary_encode()
    return pa.table({"x": [row / 2 for row in rows], "kind": kinds, "yes": [row % 3 == 0 for row in rows]})


def pictures(
    mode: str = "RGB", suffix: str = "png", size: tuple[int, int] = (12, 10), **more: int
) -> Callable[[Path], Any]:
    """Write a folder of random pictures of (width, height) `size`, and files of other kinds."""

    def write(folder: Path) -> None:
        draw = np.random.default_rng(0)
        folder.mkdir()
        for number in range(ROWS // 2):
            array = draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            if mode == "I;16":
                picture = Image.fromarray(draw.integers(0, 4096, size[::-1], dtype=np.uint16))
            else:
                picture = Image.fromarray(array).convert(mode)
            picture.save(folder / f"{number:02}.{suffix}")
        for kind, count in more.items():
            for number in range(count):
                (folder / f"other{number}.{kind}").write_bytes(b"no image")

    return write


def split_folder(folder: Path) -> None:
    """DATASET/train/class/*.png and DATASET/test/class/*.png, as for torchvision."""
    for part in ("train", "test"):
        for kind in ("cat", "dog"):
            (folder / part).mkdir(parents=True, exist_ok=True)
            pictures()(folder / part / kind)


def array(shape: tuple[int, ...], dtype: str = "float32", scale: float = 1.0) -> Callable[[Path], Any]:
    """Write a .npy file of random numbers."""
    values = (np.random.default_rng(0).random(shape) * scale).astype(dtype)
    return lambda path: np.save(path, values)


HALF = ROWS // 2
IMAGES: dict[str, Messy] = {
    "png": Messy(pictures(), Comes((3, 10, 12), rows=HALF), data="images"),
    "jpeg": Messy(pictures(suffix="jpg"), Comes((3, 10, 12), rows=HALF), data="images"),
    "tiff": Messy(pictures(suffix="tif"), Comes((3, 10, 12), rows=HALF), data="images"),
    "bmp": Messy(pictures(suffix="bmp"), Comes((3, 10, 12), rows=HALF), data="images"),
    "webp": Messy(pictures(suffix="webp"), Comes((3, 10, 12), rows=HALF), data="images"),
    "deep": Messy(pictures("I;16", "tif"), Comes((1, 10, 12), rows=HALF), data="images"),
    "grey": Messy(pictures("L"), Comes((1, 10, 12), rows=HALF), data="images"),
    "with_others": Messy(pictures(heic=3, txt=2), Comes((3, 10, 12), rows=HALF), data="images"),
    "only_others": Messy(
        lambda folder: (folder.mkdir(), (folder / "a.heic").write_bytes(b"x")),
        ("data.path=", "there are 1 .heic"),
        data="images",
    ),
    "cropped": Messy(pictures(), Comes((3, 8, 8), rows=HALF), {"size": 8, "resize": "crop"}, "images"),
    "parts": Messy(split_folder, Comes((3, 10, 12), rows=4 * HALF), data="images"),
}
ARRAYS: dict[str, Messy] = {
    "channels.npy": Messy(array((ROWS, 16, 16, 5)), ("data.path=", "data.layout=NHWC"), data="arrays"),
    "channels_told.npy": Messy(array((ROWS, 16, 16, 5)), Comes((5, 16, 16)), {"layout": "NHWC"}, "arrays"),
    "colour.npy": Messy(array((ROWS, 9, 8, 3)), Comes((3, 9, 8)), data="arrays"),
    "rows.npy": Messy(array((ROWS, 12)), Comes((12,)), data="arrays"),
    "int16.npy": Messy(
        array((ROWS, 8, 8), "int16", 30_000), Comes((1, 8, 8)), {"scaling": "minmax"}, "arrays"
    ),
    "one_dimension.npy": Messy(array((ROWS,)), ("data.path=", "has the shape [60]"), data="arrays"),
}
MESSY = TABLES | IMAGES | ARRAYS


def main(folder: str) -> None:
    """Write all files."""
    for name, messy in MESSY.items():
        place = Path(folder) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        messy.write(place)


if __name__ == "__main__":
    main(sys.argv[1])
