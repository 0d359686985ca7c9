"""What a run says of its data and its model before it trains, and of each epoch."""

from __future__ import annotations

import re

import numpy as np
import pytest

from .lines import SHORT


def said(out, kind):
    return [line[11:] for line in out.splitlines() if line.startswith(f"{kind:<11}")]


@pytest.fixture
def table(tmp_path):
    """A table with everything that a run remarks on."""
    draw = np.random.default_rng(0)
    rows = [["row", "height", "income", "kind", "same", "when", "uuid"]]
    for at in range(200):
        height = "" if at in (3, 9) else f"{draw.normal(170, 10):.1f}"
        income = 1e9 if at % 50 == 0 else draw.integers(1000, 2000)
        rows.append([at, height, income, "abc"[at % 3], "x", f"2024-01-{1 + at % 28:02}", f"u{at:04}"])
    text = "\n".join(";".join(str(cell).replace(".", ",") for cell in row) for row in rows)
    (tmp_path / "x.csv").write_text(text)


def test_of_a_table(here, table):
    typed = ("data=table", "data.path=x.csv", "data.missing=median", *SHORT, "latent.dim=6")
    out = here("train", *typed).out
    assert said(out, "data") == ["x.csv: 200 examples of 5 values"]
    assert said(out, "read as") == ["separated by semicolon, decimal comma"]
    assert said(out, "columns") == ["height, income, kind, as 5 features"]
    left_out = {line.partition(":")[0] for line in said(out, "left out")}
    assert left_out == {"'row'", "'same'", "'when'", "'uuid'"}
    assert said(out, "missing") == ["2 in 'height'; filled in with the median"]
    assert said(out, "split") == ["140 train, 20 val, 40 test"]
    (model,) = said(out, "model")
    assert model.startswith("5 -> 6 -> 5, ")
    notes = said(out, "note")
    assert any("'income'" in note and "data.clip=50" in note for note in notes)
    assert any(note == "latent.dim=6 is no bottleneck for 5 values; try 1" for note in notes)


def test_of_a_column_that_looks_like_a_label(here, tmp_path):
    lines = [f"{at % 7},{at * 3 % 11},{'ab'[at % 2]}" for at in range(80)]
    (tmp_path / "x.csv").write_text("\n".join(["a,b,Species", *lines]))
    typed = ("train", "data=table", "data.path=x.csv", *SHORT)
    note = "'Species' is trained on as a feature; if it is a label, give data.label=Species"
    assert note in said(here(*typed, "hydra.run.dir=1").out, "note")
    assert "if it is a label" not in here(*typed, "data.label=Species", "hydra.run.dir=2").out


def test_of_few_rows_and_unscaled_integers(here, tmp_path):
    draw = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", draw.integers(0, 30_000, (40, 6, 6)).astype(np.int16))
    out = here("train", "data=arrays", "data.path=x.npy", *SHORT).out
    notes = said(out, "note")
    assert any("are not scaled; try data.scaling=minmax" in note for note in notes)
    assert any("only 28 rows to train on" in note or "rows to train on" in note for note in notes)


def test_of_skipped_files(here, tmp_path):
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for at in range(60):
        Image.fromarray(np.full((8, 8), at, np.uint8)).save(tmp_path / "pictures" / f"{at}.png")
    for at in range(3):
        (tmp_path / "pictures" / f"{at}.heic").write_bytes(b"x")
    out = here("train", "data=images", "data.path=pictures", *SHORT).out
    assert said(out, "skipped") == ["3 .heic files, which are no images that can be read"]


def test_epochs_count_from_1_to_their_total(here):
    out = here("train", *SHORT, "trainer.max_epochs=3").out
    assert re.findall(r"^epoch (\S+)", out, re.M) == ["1/3", "2/3", "3/3"]


def test_terminal_escapes_of_a_file_are_not_printed(here, tmp_path):
    lines = [f"{at % 7},{at % 5},same" for at in range(60)]
    (tmp_path / "x.csv").write_text("\n".join(["a\x1b[31m,b,c\x1b]0;x\x07", *lines]))
    ended = here("train", "data=table", "data.path=x.csv", *SHORT)
    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err
