"""What the cells of a column are, by its type in the file, and whether it can be a feature."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isthmus.common.errors import BadInput, check_bool, check_int, one_of
from isthmus.common.listing import some
from isthmus.data.formats.table_file import TableFile
from isthmus.data.tables.preparation import Column, Kind
from isthmus.data.tables.selection import override

if TYPE_CHECKING:
    import pyarrow as pa

DATE_TEXT = re.compile(r"(\d{4}([./-])\d\d?\2\d\d?|\d\d?([./-])\d\d?\3\d{4})\b")  # at its beginning
MISTAKES = 0.1  # share of the cells of a column of dates that may be something else
DAY = 86_400_000_000  # microseconds
CATEGORICAL = ("onehot", "ordinal", "refuse")
TEXT = "text"  # the reason for which text is refused


class Dropped(NamedTuple):
    """A column that is no feature, and why."""

    name: str
    reason: str


class Rules(NamedTuple):
    """What may be a feature.

    Attributes:
        categorical: onehot, ordinal or refuse, for text.
        most_categories: text with more values is no feature.
        dates: number, or drop.
        date_format: of dates that are text, as in strptime; None for none.
        chosen: whether the user named the columns: then none is left out, but refused.
        prune: whether to leave out columns that say nothing: constant, an index or an identifier.
    """

    categorical: str
    most_categories: int
    dates: str
    date_format: str | None
    chosen: bool
    prune: bool

    @classmethod
    def of(
        cls,
        *,
        categorical: str,
        most_categories: int,
        dates: str,
        date_format: str | None,
        chosen: bool,
        prune: bool,
    ) -> Rules:
        """Check the keys of a config. Raises `BadInput`."""
        check_bool("prune", prune)
        return cls(
            one_of("categorical", categorical, CATEGORICAL),
            check_int("max_categories", most_categories),
            one_of("dates", dates, ("drop", "number")),
            check_date_format(date_format),
            chosen,
            prune,
        )


def check_date_format(value: object) -> str | None:
    """Raise `BadInput` for what is no format of strptime(3)."""
    if value is None or (isinstance(value, str) and re.fullmatch(r"([^%]|%[YymdBbjHIMSpTDFzZe%])+", value)):
        return value
    raise BadInput("date_format", value, "must be a format of dates, as in data.date_format=%d.%m.%Y")


def kind_of(type_: pa.DataType) -> Kind | None:
    """What the cells of a type are; None for a type that cannot be a feature."""
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    is_ = pa.types
    numbers = (is_.is_integer, is_.is_floating, is_.is_decimal, is_.is_null)
    if any(check(type_) for check in numbers):
        return Kind.NUMBER
    if is_.is_boolean(type_):
        return Kind.BOOLEAN
    if is_.is_date(type_) or is_.is_timestamp(type_):
        return Kind.DATE
    if any(check(type_) for check in (is_.is_string, is_.is_large_string, is_.is_string_view)):
        return Kind.CATEGORY
    return None


def columns_of(
    table: TableFile, names: Sequence[str], rules: Rules, given: Mapping[str, Column] | None = None
) -> tuple[list[Column], list[Dropped]]:
    """The columns that can be features, before they are read, and the others.

    Args:
        table: the file.
        names: the columns that are wanted.
        rules: which of them may be features.
        given: the columns as they were in training, by name, if new data are read; None in training.

    Raises:
        BadInput: a column is refused.
    """
    if given is not None:
        return [_known(table, given[name], rules) for name in names], []
    found = [_column(table, name, rules) for name in names]
    columns = [column for column in found if isinstance(column, Column)]
    dropped = [column for column in found if isinstance(column, Dropped)]
    refused = [each for each in dropped if rules.chosen or not rules.prune or each.reason == TEXT]
    if refused:
        raise _refusal(table, refused, rules)
    return columns, dropped


def _known(table: TableFile, column: Column, rules: Rules) -> Column:
    """A column of training, if the table has the same kind of cells."""
    import pyarrow as pa

    type_ = table.schema.field(column.name).type
    kind = kind_of(type_)
    read_as = {
        Kind.NUMBER: (Kind.NUMBER, Kind.BOOLEAN),
        Kind.BOOLEAN: (Kind.BOOLEAN, Kind.NUMBER),
        Kind.CATEGORY: tuple(Kind),
        Kind.DATE: (Kind.DATE, *([Kind.CATEGORY] if rules.date_format else [])),
    }
    if kind in read_as[column.kind] or pa.types.is_null(type_):
        return column
    example = f": {_example(table, column.name)}" if kind is Kind.CATEGORY else ""
    fix = f"{column.name!r} holds {str(type_)[:40]}{example}, and the run was trained on a {column.kind}"
    raise BadInput("path", "", fix)


def _column(table: TableFile, name: str, rules: Rules) -> Column | Dropped:
    """The column before it is read, or why it is not."""
    type_ = table.schema.field(name).type
    kind = kind_of(type_)
    if kind is None:
        return Dropped(name, f"holds {str(type_)[:40]}")
    if kind is Kind.DATE and rules.dates == "drop":
        return Dropped(name, "a date; data.dates=number makes it a number of days")
    if kind is Kind.CATEGORY and rules.date_format and rules.dates == "number":
        kind = Kind.DATE if _is_date_text(table, name, rules.date_format) else kind
    if kind is Kind.CATEGORY and rules.categorical == "refuse":
        return Dropped(name, TEXT)
    return Column(name=name, kind=kind, ordinal=kind is Kind.CATEGORY and rules.categorical == "ordinal")


def _refusal(table: TableFile, refused: Sequence[Dropped], rules: Rules) -> BadInput:
    names = [each.name for each in refused]
    said = [
        f"{each.name} ({each.reason}{': ' + _example(table, each.name) if each.reason == TEXT else ''})"
        for each in refused
    ]
    fixes = (
        ["data.categorical=onehot makes text features"]
        if any(each.reason == TEXT for each in refused)
        else []
    )
    fixes.append(f"{override('drop', names)} leaves {'them' if len(names) > 1 else 'it'} out")
    if rules.chosen:
        return BadInput(
            "columns", names, f"no numbers: {some(said)}; {', '.join(fixes[:-1]) or 'leave them out'}"
        )
    return BadInput("path", "", f"no numbers: {some(said)}; {', '.join(fixes)}")


def _example(table: TableFile, name: str) -> str:
    """The first text in a column, and its row."""
    for start, batch in table.batches([name]):
        for row, cell in enumerate(batch.column(0)):
            if cell.as_py() not in (None, ""):
                return f"{str(cell)[:40]!r} in row {start + row}"
    return "empty"


def _is_date_text(table: TableFile, name: str, date_format: str) -> bool:
    """Whether a column of text has dates in this format.

    Raises:
        BadInput: nearly all cells are, or they are dates of another format.
    """
    from pyarrow import compute

    count, wrong, first, looks_like_a_date = 0, 0, "", False
    for start, batch in table.batches([name]):
        text = decoded(batch.column(0))
        dates = compute.strptime(text, format=date_format, unit="us", error_is_null=True)
        bad = compute.and_(compute.is_valid(text), compute.is_null(dates))
        count += len(text) - text.null_count
        number = compute.sum(bad).as_py() or 0
        if number and not wrong:
            row = bad.index(True).as_py()
            looks_like_a_date = DATE_TEXT.match(str(text[row])) is not None
            first = f"{str(text[row])[:40]!r} in row {start + row}"
        wrong += number
    if wrong and wrong <= MISTAKES * count:
        fix = f"{name!r} has {first} (the first is 0), and dates of this format elsewhere"
        raise BadInput("date_format", date_format, fix)
    if looks_like_a_date:
        fix = f"is not the format of {name!r}, which has {first}; {override('drop', [name])} leaves it out"
        raise BadInput("date_format", date_format, fix)
    return count > 0 and not wrong


def decoded(cells: pa.Array) -> pa.Array:
    """Text that is not dictionary-encoded."""
    import pyarrow as pa

    return cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells


def days(cells: pa.Array, date_format: str | None) -> np.ndarray:
    """Dates as days since 1970-01-01, with fractions; NaN for missing ones."""
    import pyarrow as pa
    from pyarrow import compute

    if kind_of(cells.type) is Kind.CATEGORY:
        cells = compute.strptime(decoded(cells), format=date_format, unit="us")
    micros = cells.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return micros.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / DAY
