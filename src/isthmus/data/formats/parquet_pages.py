"""What the pages of a Parquet file unpack to, from the header of each page.

Arrow allocates what these headers say. The footer repeats the sizes for a whole column, where nothing checks
them. Format: https://github.com/apache/parquet-format, in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pyarrow import parquet

UNCOMPRESSED_SIZE, COMPRESSED_SIZE = 2, 3  # numbers of the fields of a PageHeader
DATA, DICTIONARY, DATA_V2 = 5, 7, 8  # fields of which one is there, by the kind of page
VALUES = 1  # in each of the three
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}
DELTA_LENGTHS = (6, 7)  # encodings of text of which Arrow holds the lengths of a whole page
DELTA_BYTE_ARRAY = 7
LENGTHS = 8  # bytes of a text's lengths
DEEPEST = 4  # structs inside of one another in a page header, and one to spare


class Pages(NamedTuple):
    """Of one column in all row groups.

    Attributes:
        largest: bytes of memory of its largest page.
        dictionary: bytes of its largest dictionary, of which a value may be in every row.
        prefixed: bytes of its largest page whose texts begin with a part of the text before.
    """

    largest: int
    dictionary: int
    prefixed: int


def pages_of(file: Path, metadata: parquet.FileMetaData, column: int) -> Pages:
    """Read the headers of all pages of a column.

    Raises:
        ValueError: a header is damaged.
    """
    largest = dictionary = prefixed = 0
    with file.open("rb") as opened:
        for number in range(metadata.num_row_groups):
            chunk = metadata.row_group(number).column(column)
            for header in _headers(opened, chunk):
                kind = next((kind for kind in ENCODING if kind in header), DATA)
                detail = header.get(kind, {})
                if not isinstance(detail, dict):
                    raise ValueError("a page header does not say how the page is encoded")
                encoding = detail.get(ENCODING[kind])
                size = _number(header, UNCOMPRESSED_SIZE)
                if encoding in DELTA_LENGTHS:
                    size += _number(detail, VALUES) * LENGTHS
                largest = max(largest, size)
                if kind == DICTIONARY:
                    dictionary = max(dictionary, size)
                elif encoding == DELTA_BYTE_ARRAY:
                    prefixed = max(prefixed, size)
    return Pages(largest, dictionary, prefixed)


def _headers(file: IO[bytes], chunk: parquet.ColumnChunkMetaData) -> Iterator[dict[int, Any]]:
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < place:
        place = chunk.dictionary_page_offset
    end = place + chunk.total_compressed_size
    while 0 <= place < end:
        file.seek(place)
        header = _struct(file)
        place = file.tell() + _number(header, COMPRESSED_SIZE)
        yield header


def _number(fields: dict[int, Any], field: int) -> int:
    value = fields.get(field)
    if type(value) is not int or value < 0:
        raise ValueError("a page header has no number where one belongs")
    return value


def _struct(file: IO[bytes], depth: int = 0) -> dict[int, Any]:
    """The fields of a Thrift struct by their numbers; those that are no numbers or structs are skipped."""
    if depth > DEEPEST:
        raise ValueError("a page header is too deep")
    fields: dict[int, Any] = {}
    number = 0
    while head := _byte(file):
        number = number + (head >> 4) if head >> 4 else _signed(file)
        match head & 15:
            case 1 | 2 as truth:
                fields[number] = truth == 1
            case 3:
                fields[number] = _byte(file)
            case 4 | 5 | 6:
                fields[number] = _signed(file)
            case 7:
                file.seek(8, 1)
            case 8:
                file.seek(_unsigned(file), 1)
            case 12:
                fields[number] = _struct(file, depth + 1)
            case kind:
                raise ValueError(f"a page header has a field of the type {kind}")
    return fields


def _byte(file: IO[bytes]) -> int:
    if not (byte := file.read(1)):
        raise ValueError("a page header is not whole")
    return byte[0]


def _unsigned(file: IO[bytes]) -> int:
    number = 0
    for shift in range(0, 64, 7):
        byte = _byte(file)
        number |= (byte & 127) << shift
        if byte < 128:
            return number & (1 << 63) - 1
    raise ValueError("a page header has a number without end")


def _signed(file: IO[bytes]) -> int:
    number = _unsigned(file)
    return number >> 1 ^ -(number & 1)
