"""Opens the table at a path: a file of any supported format, or all files that match a pattern."""

from __future__ import annotations

import lzma
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.common.messages import first_line
from isthmus.data.examples import locate
from isthmus.data.formats.arrow_file import ArrowFile
from isthmus.data.formats.csv.file import CSV
from isthmus.data.formats.csv.marks import Marks
from isthmus.data.formats.csv.options import CSVOptions
from isthmus.data.formats.excel_file import ExcelFile
from isthmus.data.formats.table_file import Parquet, TableFile
from isthmus.data.memory import NoRoom

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
PACKED = (".gz", ".bz2", ".xz")
PARQUET, ARROW, EXCEL = (".parquet", ".pq"), (".feather", ".arrow", ".ipc"), (".xlsx", ".xlsm")
WILD = frozenset("*?[")


def files_of(path: str, key: str = "path") -> list[Path]:
    """The files that a path names; several, in order of their names, if it is a pattern with *, ? or [."""
    if not WILD & set(path):
        return [locate(path, key)]
    try:
        place = Path(path).expanduser()
        if place.exists():
            return [locate(path, key)]
        # unlike glob.glob, it does not follow links to folders, which may lead in a circle
        found = sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
        files = [file for file in found if file.is_file()]
    except (OSError, RuntimeError, ValueError, NotImplementedError) as error:
        raise BadInput(
            key, path, f"cannot be looked up ({getattr(error, 'strerror', None) or first_line(error)})"
        ) from error
    if not files:
        raise BadInput(key, path, "no file matches this pattern")
    return files


class Opening:
    """Opens the files of a data set, and remembers how the numbers in text files are written.

    Args:
        options: what the user says about text files.
        sheet: of Excel files; None for the first.
        texts: columns that are read as text, even if all cells are numbers.
        usual: the marks of numbers in the data that a run was trained on. None in training, and then set to
            those of the first files.
    """

    def __init__(
        self, options: CSVOptions, sheet: str | None, texts: Collection[str], usual: Marks | None
    ) -> None:
        self.options, self.sheet, self.texts, self.usual = options, sheet, texts, usual

    def open(self, path: str, files: Sequence[Path], key: str = "path") -> TableFile:
        """The table in `files`.

        Raises:
            BadInput: it has no rows or duplicate column names, or its files differ in columns or format.
        """
        tables: dict[Path, TableFile] = {}
        doubtful: dict[Path, BadInput] = {}
        for file in files:
            try:
                tables[file] = self._open(file, path if len(files) == 1 else str(file), key)
            except BadInput as error:
                if error.key != "csv.decimal" or len(files) == 1:
                    raise
                doubtful[file] = error
        found = [table.format.marks for table in tables.values() if isinstance(table, CSV)]
        if self.usual is None and found:
            grouped = [marks for marks in found if marks.thousands]
            commas = [marks for marks in found if marks.decimal == ","]
            self.usual = (grouped or commas or found)[0]
        if len(files) == 1:
            return tables[files[0]]
        for file in files:
            table = tables.get(file)
            if file in doubtful and self.usual is None:
                raise doubtful[file]
            if table is None or (isinstance(table, CSV) and table.format.marks.decimal != self._decimal):
                tables[file] = table = self._open(file, str(file), key)
            if isinstance(table, CSV) and table.format.marks.decimal != self._decimal:
                fix = "writes numbers in another way than the other files; give all one format"
                raise BadInput(key, file, fix)
        return Tables(files, [tables[file] for file in files])

    @property
    def _decimal(self) -> str | None:
        return self.usual.decimal if self.usual else None

    def _open(self, file: Path, path: str, key: str) -> TableFile:
        suffix = _suffix(file, path, key)
        with as_bad_input(path, key):
            if suffix in PARQUET:
                table: TableFile = Parquet(file)
            elif suffix in ARROW:
                table = ArrowFile(file)
            elif suffix in EXCEL:
                table = ExcelFile(file, self.sheet, self.options)
            else:
                table = CSV(file, self.options, usual=self.usual, texts=self.texts)
        if repeated := [name for name, count in Counter(table.names).items() if count > 1]:
            raise BadInput(key, path, f"has more than one column called {some(repeated)}; rename them")
        if table.rows <= 0:
            raise BadInput(key, path, "has a header but no rows")
        return table


def described(table: TableFile) -> list[str]:
    """How the files of a table were read, in words, without what is usual."""
    if isinstance(table, Tables):
        found = [each for part in table.tables for each in described(part)]
        if table.left_out:
            found.append(f"columns that only some files have are left out: {some(table.left_out)}")
        return list(dict.fromkeys(found))
    said = table.describe() if isinstance(table, CSV | ExcelFile) else ""
    return [said] if said else []


class Tables:
    """Several tables with the same columns, one below the other; see `TableFile`.

    Args:
        files: where they are from.
        tables: in the order of their rows.
        extra: whether the others may have columns that the first has not.

    Attributes:
        left_out: the names of these columns.
    """

    def __init__(self, files: Sequence[Path], tables: Sequence[TableFile], *, extra: bool = False) -> None:
        self.tables = tables
        self.names = tables[0].names
        self.left_out: list[str] = []
        for file, table in zip(files, tables, strict=True):
            more = [name for name in table.names if name not in self.names]
            absent = [name for name in self.names if name not in table.names]
            if absent or (more and not extra):
                fix = f"has other columns than {files[0].name}: {some(sorted([*absent, *more]))}"
                raise BadInput("path", file, fix)
            self.left_out += more
        self.schema = _common_schema(files, tables, self.names)
        self.rows = sum(table.rows for table in tables)

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of all rows of these columns, each with the number of its first row."""
        first = 0
        for table in self.tables:
            for start, batch in table.batches(names):
                yield first + start, batch
            first += table.rows


def _common_schema(files: Sequence[Path], tables: Sequence[TableFile], names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    def decoded(table: TableFile) -> pa.Schema:
        fields = [table.schema.field(name) for name in names]
        types = [each.type.value_type if pa.types.is_dictionary(each.type) else each.type for each in fields]
        return pa.schema(list(zip(names, types, strict=True)))

    schema = decoded(tables[0])
    for file, table in zip(files, tables, strict=True):
        own = decoded(table)
        try:
            schema = pa.unify_schemas([schema, own], promote_options="permissive")
        except pa.ArrowTypeError as error:
            fix = f"has other types than {files[0].name}: {first_line(error)}"
            raise BadInput("path", file, fix) from error
    return pa.schema([schema.field(name) for name in names])


def _suffix(file: Path, path: str, key: str) -> str:
    """The suffix that says how to read a file, without that of a compression."""
    if file.is_dir():
        pattern = Path(path) / "*.csv"
        fix = f"is a folder; give a file, or a pattern such as {pattern} (data=images reads folders)"
        raise BadInput(key, path, fix)
    if not file.is_file():
        raise BadInput(key, path, "there is no such file")
    if not file.stat().st_size:
        raise BadInput(key, path, "is an empty file")
    *before, suffix = ["", *(suffix.lower() for suffix in file.suffixes)]
    if suffix in PACKED:
        suffix = before[-1]
    known = (*TEXT, *PARQUET, *ARROW, *EXCEL)
    if suffix not in known:
        raise BadInput(key, path, f"must end in one of {', '.join(known)}; text may be compressed: .csv.gz")
    return suffix


@contextmanager
def as_bad_input(path: str, key: str = "path") -> Iterator[None]:
    """Convert errors of the file readers to `BadInput`."""
    import pyarrow as pa

    try:
        yield
    except BadInput as error:
        raise (
            BadInput(key, path, error.fix) if not error.value and error.key == "path" else error
        ) from error
    except NoRoom as error:
        raise BadInput(key, path, str(error)) from error
    except (
        pa.ArrowException,
        OSError,
        EOFError,
        ValueError,
        MemoryError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise BadInput(key, path, f"cannot be read ({first_line(error)}); is it complete?") from error
