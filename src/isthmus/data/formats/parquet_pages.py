"""Decompressed sizes of the pages of a Parquet file, from the page headers.

Arrow allocates memory by these headers. The footer has the sizes of whole columns, too, but nobody verifies
those. Format: https://github.com/apache/parquet-format, in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pyarrow import parquet

UNCOMPRESSED_SIZE, COMPRESSED_SIZE = 2, 3  # field numbers of PageHeader
DATA, DICTIONARY, DATA_V2 = 5, 7, 8  # a PageHeader has one of these fields, by the kind of page
VALUES = 1  # field number of num_values in each of the three
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}  # field number of the encoding
DELTA_LENGTHS = (6, 7)  # encodings of text for which Arrow decodes the lengths of a whole page
DELTA_BYTE_ARRAY = 7
LENGTHS = 8  # bytes of the lengths of a text
DEEPEST = 4  # nesting of structs in a page header, plus one


class Pages(NamedTuple):
    """Sizes of one column, over all row groups.

    Attributes:
        largest: bytes of its largest decompressed page.
        dictionary: bytes of its largest dictionary, whose longest value may be in every row.
        prefixed: bytes of its largest page in DELTA_BYTE_ARRAY, whose texts share prefixes.
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
        raise ValueError("a page header has no number for a required field")
    return value


def _struct(file: IO[bytes], depth: int = 0) -> dict[int, Any]:
    """The fields of a Thrift struct by number; only numbers and structs are decoded."""
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
        raise ValueError("a page header is truncated")
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
