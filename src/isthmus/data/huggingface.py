"""Data sets of Hugging Face (https://huggingface.co/docs/datasets), from a folder or by name from the Hub.

The package datasets is optional. It downloads and caches what is not local, and runs no code of a data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.common.messages import first_line
from isthmus.core.scaling import Scaling
from isthmus.data.encoded_images import EncodedImages
from isthmus.data.examples import locate
from isthmus.data.formats.table_file import BATCH
from isthmus.data.memory import check_room
from isthmus.data.source import PARTS, Grouping, Source
from isthmus.data.tables.opening import as_bad_input
from isthmus.data.tables.record import Record
from isthmus.data.tables.selection import check_roles
from isthmus.data.tables.table_source import TableSource
from isthmus.data.tables.treatment import Treatment

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

ADOPTED = (
    *("shape", "value_range", "fingerprint", "reading", "values", "labels", "label_names", "ids", "spans"),
)


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` made a folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


class HuggingFace(Source):
    """Images, if the data set has a column of them; or else the rows of a table.

    Splits of the data set called train, validation and test are kept.

    Args:
        path: a folder made by `save_to_disk`, one with data files, or the name of a data set on the Hub.
        name: of its configuration, where it has several; None for the only one.
        label: the column of classes; None for the only column of the type ClassLabel, if there is one.
        columns: of a table: see `table.Table`, as for drop, missing, categorical, scaling and prune.
        size: of images: see `encoded_images.EncodedImages`, as for resize and channels.
        in_memory: True, False, or "auto" for less than a quarter of the available memory.
        prepared: see `table.Table`.

    Raises:
        BadInput: the package is not installed, there is no such data set, or it cannot be used.
    """

    def __init__(
        self,
        *,
        path: str | None,
        name: str | None = None,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        drop: Sequence[str] = (),
        missing: str = "refuse",
        categorical: str = "onehot",
        scaling: str = "standardize",
        prune: bool = True,
        size: int | Sequence[int] | None = None,
        resize: str = "stretch",
        channels: str | int = "auto",
        in_memory: str | bool = "auto",
        prepared: Mapping[str, Any] | None = None,
    ) -> None:
        parts = _open(path, name)
        rows = _Rows(list(parts.values()))
        features = next(iter(parts.values())).features
        if prepared is not None and label not in rows.names:
            label = None  # new data need no labels
        check_roles(rows.names, str(path), {"label": label})
        label = label or _only(features, "ClassLabel")
        image = _only(features, "Image")
        if image is not None:
            self._inner: Source = _Images(
                str(path), rows, image, size=size, resize=resize, channels=channels, in_memory=in_memory
            )
        else:
            with as_bad_input(str(path)):
                content = rows.digest()
            self._inner = TableSource(
                rows,
                path=str(path),
                content=content,
                how={},
                roles={"label": label},
                columns=columns,
                drop=drop,
                treatment=Treatment.of(
                    missing=missing,
                    categorical=categorical,
                    scaling=scaling,
                    chosen=columns is not None,
                    prune=prune,
                ),
                in_memory=in_memory,
                known=Record.of(prepared),
            )
        self._adopt()
        if label is not None and type(features[label]).__name__ == "ClassLabel":
            numbers = np.concatenate([batch.column(0).to_numpy() for _, batch in rows.batches([label])])
            self._inner.labels, self._inner.label_names = (
                torch.from_numpy(numbers),
                list(features[label].names),
            )
            self._adopt()
        self._parts = None
        if len(parts) > 1:
            self._parts = torch.cat(
                [torch.full((len(each),), PARTS[part], dtype=torch.int8) for part, each in parts.items()]
            )

    def __len__(self) -> int:
        return len(self._inner)

    def take(self, rows: Tensor) -> Tensor:
        return self._inner.take(rows)

    def scaling(self, train_rows: Tensor) -> Scaling:
        scaling = self._inner.scaling(train_rows)
        self._adopt()
        return scaling

    def grouping(self) -> Grouping:
        return self._inner.grouping()._replace(parts=self._parts)

    def column(self, name: str) -> np.ndarray:
        return self._inner.column(name)

    def remarks(self, train_rows: Tensor) -> list[tuple[str, str]]:
        return self._inner.remarks(train_rows)

    def describe(self) -> dict[str, Any]:
        return self._inner.describe()

    def _adopt(self) -> None:
        """Take over what the images or the table say of themselves."""
        for name in ADOPTED:
            setattr(self, name, getattr(self._inner, name))


class _Rows:
    """The rows of several splits, one below the other; see `TableFile`."""

    def __init__(self, parts: Sequence[datasets.Dataset]) -> None:
        self.parts = [part.flatten_indices() if part._indices is not None else part for part in parts]
        self.schema: pa.Schema = self.parts[0].data.schema
        self.names: list[str] = self.schema.names
        self.rows = sum(len(part) for part in self.parts)

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of all rows of these columns, each with the number of its first row."""
        start = 0
        for part in self.parts:
            for batch in part.data.table.select(list(names)).to_batches(BATCH):
                batch.validate(full=True)
                yield start, batch
                start += len(batch)

    def digest(self) -> hashlib._Hash:
        """The SHA-256 of all cells. That of `datasets` is of the path and the time of the files, too."""
        digest = hashlib.sha256(self.schema.remove_metadata().serialize())
        for _, batch in self.batches(self.names):
            digest.update(batch.serialize())
        return digest

    def cell(self, name: str, row: int) -> Any:
        """One cell."""
        for part in self.parts:
            if row < len(part):
                cell = part.data.table.column(name).slice(row, 1)
                cell.validate(full=True)
                return cell[0].as_py()
            row -= len(part)
        raise IndexError(row)


class _Images(EncodedImages):
    def __init__(self, path: str, rows: _Rows, column: str, **options: Any) -> None:
        self._rows, self._column = rows, column
        super().__init__(path, [f"row {row}" for row in range(rows.rows)], **options)

    def encoded(self, row: int) -> bytes:
        cell = self._rows.cell(self._column, row) or {}
        content: bytes | None = cell.get("bytes")
        if content is not None:
            return content
        file = Path(cell.get("path") or "")
        if not file.is_file():  # a device has no end
            raise FileNotFoundError(file)
        check_room(file.stat().st_size, "the picture")
        return file.read_bytes()


def _open(path: str | None, name: str | None) -> dict[str, datasets.Dataset]:
    """The splits of a data set: train and, where it has them, validation and test."""
    if path is None:
        fix = "give data.path=FOLDER, or the name of a data set on the Hugging Face Hub"
        raise BadInput("path", path, fix)
    try:
        import datasets
    except ImportError as error:
        raise BadInput("path", path, 'needs datasets: pip install "isthmus[huggingface]"') from error
    datasets.disable_progress_bars()
    place = locate(str(path))
    here = place.exists()
    try:
        opened = datasets.load_from_disk if is_saved(place) else partial(datasets.load_dataset, name=name)
        found = opened(str(place if here else path))
    except Exception as error:  # the package and what it downloads with raise many
        fix = "cannot be opened" if here else "there is no such folder, and it cannot be opened from the Hub"
        raise BadInput("path", path, f"{fix} ({first_line(error)})") from error
    if isinstance(found, datasets.Dataset):
        return {"train": found}
    known = {split: part for split, part in found.items() if split in PARTS}
    if "train" not in known:
        if len(found) == 1:
            return {"train": next(iter(found.values()))}
        raise BadInput("path", path, f"has no split called train; it has {some(list(found))}")
    return known


def _only(features: Mapping[str, Any], kind: str) -> str | None:
    """The only column of this type; None if there is none, or more than one."""
    found = [name for name, feature in features.items() if type(feature).__name__ == kind]
    return found[0] if len(found) == 1 else None
