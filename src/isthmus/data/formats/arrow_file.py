"""Reads the Arrow IPC file format, also called Feather V2, memory-mapped.

Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.data.formats.arrow_messages import MAGIC, messages
from isthmus.data.formats.table_file import BATCH
from isthmus.data.memory import check_room

if TYPE_CHECKING:
    import pyarrow as pa

COPIES = 2  # of a batch: decompressed, and its columns


class ArrowFile:
    """The table in a .feather, .arrow or .ipc file; see `TableFile`.

    Raises:
        ValueError: a batch needs more memory than is available, or the file is damaged.
    """

    def __init__(self, file: Path) -> None:
        import pyarrow as pa

        with pa.memory_map(str(file)) as opened:
            if opened.read(len(MAGIC)) != MAGIC:
                raise ValueError("it is no Arrow IPC file, which is also called Feather V2")
            opened.seek(0)
            self._content: pa.Buffer = opened.read_buffer().slice(len(MAGIC))
        dictionaries, largest, self.rows = 0, 0, 0
        for message in messages(self._content):
            if message.dictionary:
                dictionaries += message.size
            else:
                largest = max(largest, message.size)
                self.rows += message.rows
            check_room(dictionaries + COPIES * largest, "a batch of the table")
        self.schema: pa.Schema = pa.ipc.open_stream(self._content).schema
        self.names: list[str] = self.schema.names

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of all rows of these columns, each with the number of its first row.

        Raises:
            ValueError: the number of rows differs from what the batches say.
        """
        import pyarrow as pa

        wanted = [self.names.index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=sorted(wanted))
        start = 0
        for batch in pa.ipc.open_stream(self._content, options=options):
            for offset in range(0, len(batch), BATCH):
                part = batch.slice(offset, BATCH).select(list(names))
                part.validate(full=True)
                if start + len(part) > self.rows:
                    raise ValueError("it has more rows than its batches say")
                yield start, part
                start += len(part)
        if start != self.rows:
            raise ValueError(f"its batches say {self.rows} rows, but it has {start}")
