"""Tables that a stranger made: none takes more memory or time than there is, and none is executed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from isthmus.cli.completion import candidates
from isthmus.common.errors import BadInput
from isthmus.data.formats.arrow_file import ArrowFile
from isthmus.data.images import Images
from isthmus.data.loading.conditions import evaluate
from isthmus.data.table import Table
from isthmus.data.tables.opening import files_of
from isthmus.data.tables.store import new_path

MB = 1 << 20


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_an_arrow_file_of_equal_values(tmp_path, small, unusable, compression):
    table = pa.table({f"c{at}": np.zeros(500_000, np.int64) for at in range(8)})
    feather.write_feather(table, tmp_path / "x.feather", compression=compression, chunksize=500_000)
    assert (tmp_path / "x.feather").stat().st_size < MB
    unusable(lambda: Table(path=str(tmp_path / "x.feather")), "a batch of the table would take 64 MB")


def test_an_arrow_file_says_how_many_rows_it_has(tmp_path):
    table = pa.table({"a": np.arange(1000.0), "b": pa.array(["x", "y"] * 500).dictionary_encode()})
    for compression in ("uncompressed", "zstd"):
        feather.write_feather(table, tmp_path / "x.feather", compression=compression, chunksize=300)
        file = ArrowFile(tmp_path / "x.feather")
        assert file.rows == 1000
        read = [batch.column(0) for _, batch in file.batches(["a"])]
        assert np.concatenate(read).tolist() == list(range(1000))


def test_rows_without_content(tmp_path, small, frugal, unusable):
    """A column of nothing takes no room in a file."""
    batch = pa.record_batch({"a": pa.nulls(600_000_000)})
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write(batch)
    unusable(lambda: Table(path=str(tmp_path / "x.arrow")), "the table would take ")


@pytest.mark.parametrize("key", ["id", "label", "group_column"])
def test_one_long_text_in_every_row_is_one_object(tmp_path, key):
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(50_000, np.int32)), ["x" * MB])
    table = pa.table({"a": np.arange(50_000.0) % 7, "b": text})
    parquet.write_table(table, tmp_path / "x.parquet")
    tracemalloc.start()
    Table(path=str(tmp_path / "x.parquet"), **{key: "b"})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30 * MB


def test_a_condition_on_long_texts_takes_no_copies(frugal):
    texts = np.empty(100_000, object)
    texts[:] = "x" * 100_000
    assert evaluate("a in ['y', 'z'] or a != 'x'", lambda name: texts).all()


@pytest.mark.parametrize(
    "condition",
    ["9**9**9 > a", "a.__class__ == 1", "'a' * 10**9 == b", "(lambda: 0)() == a", "-" * 1000 + "1 < a"],
)
def test_a_condition_that_computes(condition):
    with pytest.raises(BadInput, match="is no condition"):
        evaluate(condition, lambda name: np.zeros(3))


def test_a_text_column_with_many_features(tmp_path, monkeypatch, unusable):
    from isthmus.data import memory

    names = [f"value {at}" for at in range(2000)]
    parquet.write_table(pa.table({"a": names * 2, "b": np.arange(4000.0) % 9}), tmp_path / "x.parquet")
    table = Table(path=str(tmp_path / "x.parquet"), categorical="onehot", max_categories=2000)
    monkeypatch.setattr(memory, "available_memory", lambda: 20 << 20)
    import torch

    unusable(lambda: table.scaling(torch.arange(4000)), "2,001 features of each row would take 32 MB")


def test_a_cell_of_many_digits_takes_no_longer_than_it_is_long(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1" * 100_000 + "x,2\n" + "1,2\n" * 50)
    before = time.process_time()
    with pytest.raises(BadInput):
        Table(path=str(tmp_path / "x.csv"))
    assert time.process_time() - before < 20, "it was minutes"


def test_rows_that_are_left_out_are_counted(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n" * 6000 + "x\n" * 200_000)
    with pytest.raises(BadInput, match="and 199,999 more rows"):
        Table(path=str(tmp_path / "x.csv"))


def test_a_circle_of_links(tmp_path):
    (tmp_path / "loop").mkdir()
    for name in ("a", "b"):
        (tmp_path / "loop" / name).symlink_to(".")
    (tmp_path / "loop" / "x.csv").write_text("a\n1\n")
    assert files_of(f"{tmp_path}/loop/**/x.csv") == [tmp_path / "loop" / "x.csv"]


@pytest.mark.parametrize("path", ["~nobody-here/*.csv", "*" * 200 + "x" * 100, "x\0*"])
def test_a_pattern_that_is_none(path, unusable):
    unusable(lambda: files_of(path), "path=")


def test_an_image_file_without_end(tmp_path, small, unusable):
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(40 << 30)
    unusable(lambda: Images(path=str(tmp_path)), "x.png")


@pytest.mark.parametrize(
    "sheet",
    [
        b"<worksheet><sheetData><row r='9000000000'><c r='A9000000000'><v>1</v></c></row>"
        b"</sheetData></worksheet>",
        b"<worksheet><sheetData><row r='1'><c r='A1' t='inlineStr'><is><t>a</t></is></c>",
        b"",
        b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
        b"<worksheet>&b;</worksheet>",
    ],
    ids=["far row", "cut", "empty", "entities"],
)
def test_a_sheet_that_is_none(tmp_path, sheet, unusable):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.save(tmp_path / "good.xlsx")
    with zipfile.ZipFile(tmp_path / "good.xlsx") as good, zipfile.ZipFile(tmp_path / "x.xlsx", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, sheet if name.endswith("sheet1.xml") else good.read(name))
    unusable(lambda: Table(path=str(tmp_path / "x.xlsx")), "x.xlsx")


def test_offsets_of_a_hugging_face_file(tmp_path, unusable):
    """They would be followed out of the memory of the file."""
    datasets = pytest.importorskip("datasets")
    from isthmus.data.huggingface import HuggingFace

    texts = [f"text number {at % 7}" for at in range(100)]
    datasets.Dataset.from_dict({"a": texts, "b": list(range(100))}).save_to_disk(tmp_path / "saved")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    content = file.read_bytes()
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32).tobytes()
    at = content.index(offsets)
    wrong = (0x70000000 + np.arange(101, dtype=np.int32) * 12).astype(np.int32).tobytes()
    file.write_bytes(content[:at] + wrong + content[at + len(wrong) :])
    unusable(lambda: HuggingFace(path=str(tmp_path / "saved")), "path=")


def test_a_killed_process_leaves_no_table_in_the_cache(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = new_path(tmp_path)
    left = mine.with_name("." + re.sub(r"_\d+_", f"_{gone.pid}_", mine.name) + ".part")
    running = mine.with_name("." + re.sub(r"_\d+_", f"_{os.getppid()}_", mine.name) + ".part")
    other = mine.with_name(".other-machine_1_0.npy.part")
    for path in (left, running, other):
        path.write_bytes(b"x")
    new_path(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([running, other])


def test_a_kill_while_a_table_is_read(tmp_path):
    """What it was writing is removed by the next process that reads a table."""
    rows = 400_000
    parquet.write_table(pa.table({f"c{at}": np.random.rand(rows) for at in range(8)}), tmp_path / "x.parquet")
    read = "from isthmus.data.table import Table; Table(path='x.parquet', in_memory=False)"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", read], cwd=tmp_path, env=environment)
    folder = tmp_path / "isthmus" / "tables"
    while process.poll() is None and not (folder.is_dir() and list(folder.iterdir())):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([sys.executable, "-c", read], cwd=tmp_path, env=environment, check=True)
    assert not list(folder.iterdir())


def test_completion_offers_nothing_that_a_shell_would_act_on(tmp_path, monkeypatch):
    run = tmp_path / "outputs" / "x;touch${IFS}pwned"
    run.mkdir(parents=True)
    (run / "status.json").write_text(json.dumps({}))
    monkeypatch.chdir(tmp_path)
    assert candidates("isthmus evaluate ") == ["latest"]
