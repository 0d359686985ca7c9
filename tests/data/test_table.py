"""Tables: the values that Arrow reads, scikit-learn's scaling, and a line for each thing that cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv, parquet
from sklearn.preprocessing import StandardScaler

from isthmus.common.errors import BadInput
from isthmus.data.module import DataModule
from isthmus.data.source import UNBOUNDED
from isthmus.data.table import Table

ROWS = 50


@pytest.fixture
def frame() -> pa.Table:
    draw = np.random.default_rng(0)
    return pa.table(
        {
            "price": draw.normal(1e4, 3, ROWS),
            "count": draw.integers(0, 9, ROWS),
            "sold": draw.integers(0, 2, ROWS).astype(bool),
            "kind": draw.choice(["pear", "apple", "fig"], ROWS),
        }
    )


@pytest.fixture
def file(tmp_path: Path, frame: pa.Table) -> str:
    csv.write_csv(frame, tmp_path / "fruit.csv")
    return str(tmp_path / "fruit.csv")


def written(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def numbers(frame: pa.Table, *names: str) -> np.ndarray:
    return np.stack([frame[name].to_numpy().astype(np.float32) for name in names], axis=1)


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".parquet", ".pq"])
def test_values_and_classes_are_those_of_the_file(tmp_path: Path, frame: pa.Table, suffix: str) -> None:
    path = tmp_path / f"fruit{suffix}"
    (csv.write_csv if suffix.lower() == ".csv" else parquet.write_table)(frame, path)
    table = Table(path=str(path), label="kind")
    rows = torch.tensor([4, 0, 4])
    assert (len(table), table.shape, table.take(rows).dtype) == (ROWS, (3,), torch.float32)
    np.testing.assert_array_equal(table.take(rows), numbers(frame, "price", "count", "sold")[rows])
    assert table.labels is not None
    assert table.label_names == ["apple", "fig", "pear"]
    assert [table.label_names[label] for label in table.labels] == frame["kind"].to_pylist()
    assert table.labels.dtype == torch.int64


def test_columns_keep_the_order_asked_for(file: str, frame: pa.Table) -> None:
    table = Table(path=file, columns=["count", "price"])
    np.testing.assert_array_equal(table.take(torch.arange(ROWS)), numbers(frame, "count", "price"))
    assert table.labels is None
    assert Table(path=file, drop=["kind", "price"]).preparation.features == ["count", "sold"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pa.array([7, -1, 7]), ["-1", "7"]),
        (pa.array([True, False, True]), ["False", "True"]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_whole_numbers_truths_and_categories_become_classes(
    tmp_path: Path, values: Any, names: list[str]
) -> None:
    parquet.write_table(pa.table({"x": [1.0, 2.0, 3.0], "2019": values}), tmp_path / "t.parquet")
    table = Table(path=str(tmp_path / "t.parquet"), label=2019)  # type: ignore[arg-type]
    assert table.labels is not None
    assert table.labels.tolist() == [1, 0, 1]
    assert table.label_names == names


def test_standardised_by_the_training_rows_alone(file: str, frame: pa.Table) -> None:
    table = Table(path=file, label="kind")
    module = DataModule(
        table, batch_size=8, eval_batch_size=8, val_size=5, test_size=10, split_seed=3, num_workers=0, seed=0
    )
    values = numbers(frame, "price", "count", "sold").astype(np.float64)
    expected = StandardScaler().fit(values[module.split.train]).transform(values)
    expected[:, 2] = values[:, 2]  # true and false stay 1 and 0
    scaled = module.scaling(table.take(torch.arange(ROWS)))
    np.testing.assert_allclose(scaled, expected, atol=2e-4)
    assert np.abs(expected.mean(axis=0)).max() > 0.01, "all rows and the training rows have other statistics"
    assert table.value_range == UNBOUNDED
    np.testing.assert_allclose(module.scaling.invert(scaled), values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("number", ["0.1", "5", "1e-42"])
def test_a_column_that_is_constant_in_training_keeps_scale_1(tmp_path: Path, number: str) -> None:
    table = Table(path=written(tmp_path, "a,b\n" + f"{number},1\n" * 7 + f"{number},2\n6,3\n"))
    scaling = table.scaling(torch.arange(8))
    assert scaling.scale[0] == 1
    torch.testing.assert_close(scaling(table.values)[:, 0], torch.tensor([0.0] * 8 + [6 - float(number)]))


def test_a_spread_too_small_to_divide_by_counts_as_constant(tmp_path: Path) -> None:
    table = Table(path=written(tmp_path, "a\n0\n1e-42\n"))
    assert table.scaling(torch.arange(2)).scale.item() == 1


def test_statistics_do_not_lose_what_float32_would(tmp_path: Path) -> None:
    values = np.repeat(np.float32([16777214, 16777216]), 3000)
    parquet.write_table(pa.table({"x": values}), tmp_path / "t.parquet")
    scaling = Table(path=str(tmp_path / "t.parquet")).scaling(torch.arange(6000))
    assert scaling.shift is not None
    assert (scaling.shift.item(), scaling.scale.item()) == (16777215, 1)


def test_unscaled_values_tell_their_range(file: str, frame: pa.Table) -> None:
    table = Table(path=file, columns=["count", "sold"], scaling="none")
    torch.testing.assert_close(table.scaling(torch.arange(5))(table.values), table.values)
    assert table.value_range == (0, frame["count"].to_numpy().max())


def test_what_a_run_records(file: str) -> None:
    record = Table(path=file, label="kind", drop=["sold"]).describe()
    assert record["columns"] == ["price", "count"]
    assert (record["label"], record["scaling"]) == ("kind", "standardize")
    assert (record["rows"], record["shape"]) == (ROWS, [2])
    assert record["label_names"] == ["apple", "fig", "pear"]


def test_the_fingerprint_follows_bytes_and_columns(tmp_path: Path) -> None:
    def fingerprint(content: str, **choice: Any) -> str:
        return Table(path=written(tmp_path, content), **choice).fingerprint

    prints = [
        fingerprint("a,b\n1,2\n3,4\n"),
        fingerprint("a,b\n1,2\n3,5\n"),
        fingerprint("a,b\n1,2\n3,4\n", drop=["a"]),
        fingerprint("a,b\n1,2\n3,4\n", label="a"),
        fingerprint("a,b\n1,2\n3,4\n", columns=["b", "a"]),
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint("a,b\n1,2\n3,4\n", scaling="none") == prints[0]


def test_a_column_whose_later_numbers_have_fractions(tmp_path: Path) -> None:
    content = "x\n" + "123456\n" * 300_000 + "0.5\n"  # Arrow sees the first megabyte before it picks a type
    assert Table(path=written(tmp_path, content)).take(torch.tensor([300_000])).item() == 0.5


def refused(**arguments: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        Table(**arguments)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("", "t.csv", "is an empty file"),
        ("a,b\n", "t.csv", "no rows"),
        ("a,b\n1,2\n3", "t.csv", "a row '3' has 1 cell and the others 2; mend it, or data.csv.bad_rows=skip"),
        ("a,b\n1,2\n", "t.pdf", "must end in one of .csv, .tsv"),
        ("a,b\n1,2\n", "t.parquet", "cannot be read"),
        ("PAR1", "t.parquet", "cannot be read"),
        ("a,b\n1,2\n", "t.feather", "cannot be read"),
        ("a,b\n1,2\n", "t.csv.gz", ""),
        (b"\x1f\x8b\x08\x00cut", "t.csv.gz", "cannot be read"),
        ("a,b\n1,x\n2,y\n", "t.csv", "no numbers: b (text: 'x' in row 0); data.categorical=onehot"),
        ("a,b c\n1,x\n", "t.csv", """'data.drop=["b c"]' leaves"""),
        ("a,b\n1,2024-01-01\n", "t.csv", "no numbers: b (a date"),
        ("a,b\n1,2\n3,inf\n", "t.csv", "infinite or beyond float32: 'b' in row 1"),
        ("a,b\n1,2\n3,1e39\n", "t.csv", "beyond float32: 'b' in row 1"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | bytes, name: str, says: str) -> None:
    path = written(tmp_path, content, name)
    if not says:
        assert len(Table(path=path)) == 1  # the content counts, not the suffix
        return
    error = refused(path=path)
    assert (error.key, error.value) == ("path", path)
    assert says in error.fix


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,2\n,3\n", "1 cell is missing: 'a' in row 1 (the first is 0); data.missing=mean"),
        ("a,b\n1,2\nnan,3\n", "'a' in row 1"),
        ("a,b\n1,\n2,\n", "2 cells are missing: 'b' in rows 0, 1 (the first is 0)"),
        ("a,b\n" + "1,\n" * 9, "'b' in rows 0, 1, 2, 3, 4 and 4 more"),
        (
            ",".join("abcdefg") + "\n" + "," * 6 + "\n1" + ",1" * 6 + "\n",
            "'e' in row 0 (the first is 0) and 2 more",
        ),
    ],
)
def test_missing_cells_are_counted(tmp_path: Path, content: str, says: str) -> None:
    error = refused(path=written(tmp_path, content))
    assert (error.key, error.value) == ("missing", "refuse")
    assert says in error.fix


def test_a_parquet_file_cut_short(tmp_path: Path, frame: pa.Table) -> None:
    parquet.write_table(frame, tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert "cannot be read" in refused(path=written(tmp_path, content[:-100], "cut.parquet")).fix


@pytest.mark.parametrize(
    ("header", "says"),
    [
        # fields 1 to 3 are the kind and the sizes of a page; 5 is how its values are encoded
        (b"\x15\x00\x15\x10\x15\x10\x21\x00", "how the page is encoded"),  # true
        (b"\x15\x00\x15\x10\x15\x10\x2c\x25\x0c\x00\x00", "no number"),  # as text, but not of how many
        (b"\x15\x00\x15\x10\x15\x0f\x00", "no number"),  # a size of -8
        (b"\x15\x00\x15\x10\x11\x00", "no number"),  # true
        (b"\x15\x00\x15" + b"\xff" * 10, "a number without end"),
        (b"\x1f", "of the type 15"),
        (b"\x1c" * 12, "too deep"),
    ],
)
def test_a_parquet_file_whose_page_header_lies(tmp_path: Path, header: bytes, says: str) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"x": np.arange(99.0)}), path, use_dictionary=False)
    at = parquet.read_metadata(path).row_group(0).column(0).data_page_offset
    content = path.read_bytes()
    path.write_bytes(content[:at] + header + content[at + len(header) :])
    fix = refused(path=str(path)).fix
    assert fix.startswith("cannot be read (")
    assert says in fix


@pytest.mark.parametrize(
    ("choice", "key", "says"),
    [
        ({"path": None}, "path", "give data.path=FILE.csv"),
        ({"path": "nowhere.csv"}, "path", "there is no such file"),
        ({"path": "."}, "path", "is a folder"),
        ({"label": "kinds"}, "label", "the nearest is 'kind'"),
        ({"label": ""}, "label", "no such column"),
        ({"label": "price"}, "label", "holds double"),
        ({"columns": ["prize", "count"]}, "columns", "the nearest is 'price'"),
        ({"columns": ["price", "kind"]}, "columns", "no numbers: kind (text"),
        ({"columns": ["price", "price"]}, "columns", "twice"),
        ({"columns": "price"}, "columns", "data.columns=[price]"),
        ({"columns": ["price"], "drop": ["price"]}, "columns", "is in data.drop as well"),
        ({"columns": ["kind"], "label": "kind"}, "columns", "is in data.label as well"),
        ({"drop": ["cont"]}, "drop", "the nearest is 'count'"),
        ({"drop": "kind"}, "drop", "data.drop=[kind]"),
        ({"label": "kind", "drop": ["price", "count", "sold"]}, "path", "no feature column is left"),
        ({"scaling": "max"}, "scaling", "standardize, minmax, robust, quantile, none"),
    ],
)
def test_a_choice_that_cannot_work(file: str, choice: dict[str, Any], key: str, says: str) -> None:
    error = refused(**{"path": file, **choice})
    assert error.key == key
    assert says in error.fix


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a,y\n1,x\n2,\n3,x\n", ["x", "none"]),
        ("a,y\n1,3\n2,\n4,3\n", ["3", "none"]),
        ("a,y\n1,\n2,\n", ["none"]),
    ],
)
def test_rows_without_a_label_are_a_class(tmp_path: Path, content: str, names: list[str]) -> None:
    table = Table(path=written(tmp_path, content), label="y")
    assert table.label_names == names
    assert table.labels is not None
    assert table.labels[1] == names.index("none")


def test_an_id_is_text_as_it_is_written(tmp_path: Path) -> None:
    table = Table(path=written(tmp_path, "who,a\n007,1\n9007199254740993,2\n"), id="who")
    assert table.ids == ["007", "9007199254740993"]
