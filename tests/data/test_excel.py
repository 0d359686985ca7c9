"""Excel files, written with openpyxl."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.data.table import Table

openpyxl = pytest.importorskip("openpyxl")


def write(path: Path, *sheets: tuple[str, list[list[object]]]) -> str:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return str(path)


ROWS = [
    ["height", "kind", "seen", "flag"],
    *([at / 2, "ab"[at % 2], datetime.datetime(2024, 1, 1 + at), at % 3 == 0] for at in range(20)),
]


def test_numbers_text_dates_and_truth_values(tmp_path: Path) -> None:
    table = Table(
        path=write(tmp_path / "x.xlsx", ("data", ROWS)), categorical="onehot", dates="number", scaling="none"
    )
    table.scaling(torch.arange(20))
    assert table.preparation.features == ["height", "kind=a", "kind=b", "seen", "flag"]
    days = (datetime.date(2024, 1, 4) - datetime.date(1970, 1, 1)).days
    origin = table.preparation.columns[2].origin
    assert table.take(torch.tensor([3]))[0].tolist() == [1.5, 0, 1, days - origin, 1]


def test_a_sheet_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.xlsx", ("notes", [["a"], [1], [2]]), ("data", ROWS))
    assert len(Table(path=path, sheet="data", drop=["kind", "seen"])) == 20
    with pytest.raises(BadInput, match=r"^sheet=dta: .*notes, data"):
        Table(path=path, sheet="dta")


def test_empty_rows_and_columns_at_the_end_are_none(tmp_path: Path) -> None:
    rows = [[*row[:1], *row[3:], None] for row in ROWS]
    path = write(tmp_path / "x.xlsx", ("data", [*rows, [None, None, None], [None]]))
    assert len(Table(path=path)) == 20


def test_a_cell_among_numbers_that_is_none_is_named(tmp_path: Path) -> None:
    rows = [["a", "b"], *([at, at / 3] for at in range(30)), ["Total:", 9.0]]
    with pytest.raises(BadInput, match=r"'a'.*'Total:' in row 30"):
        Table(path=write(tmp_path / "x.xlsx", ("data", rows)), categorical="onehot")


def test_what_is_no_excel_file(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"^path=.*is no .xlsx file"):
        Table(path=str(tmp_path / "x.xlsx"))


def test_a_title_above_the_header(tmp_path: Path) -> None:
    rows = [["Report 2024"], [], *([*row[:1], row[3]] for row in ROWS)]
    table = Table(path=write(tmp_path / "x.xlsx", ("data", rows)))
    assert (len(table), table.preparation.features) == (20, ["height", "flag"])


def test_dates_and_years_as_names(tmp_path: Path) -> None:
    months = [datetime.datetime(2024, month, 1) for month in (1, 2)]
    rows = [months, *([at / 7, at / 3] for at in range(20))]
    table = Table(path=write(tmp_path / "x.xlsx", ("data", rows)))
    assert table.preparation.features == ["2024-01-01", "2024-02-01"]
    rows = [[2023, 2024], *([at + 5, 3 * at % 7] for at in range(20))]
    table = Table(path=write(tmp_path / "x.xlsx", ("data", rows)))
    assert table.preparation.features == ["2023", "2024"]


def test_numbers_that_are_stored_as_text(tmp_path: Path) -> None:
    rows = [["a", "b"], *([f"{at / 7:.3f}".replace(".", ","), at] for at in range(20))]
    table = Table(path=write(tmp_path / "x.xlsx", ("data", rows)), scaling="none", prune=True)
    table.scaling(torch.arange(20))
    assert table.take(torch.tensor([7]))[0, 0].item() == 1


def test_a_date_among_numbers_is_no_number(tmp_path: Path) -> None:
    rows = [["a", "b"], [datetime.datetime(2024, 1, 1), 0], *([at / 7, at] for at in range(30))]
    with pytest.raises(BadInput, match=r"'a' has '2024-01-01 00:00:00' in row 0"):
        Table(path=write(tmp_path / "x.xlsx", ("data", rows)), categorical="onehot")


def test_texts_of_missing_cells(tmp_path: Path) -> None:
    rows = [["a", "b"], *(["k.A." if at == 3 else at / 7, at] for at in range(30))]
    path = write(tmp_path / "x.xlsx", ("data", rows))
    table = Table(path=path, csv={"na_values": ["k.A."]}, missing="mean")
    assert list(table.cells.missing) == ["a"]
