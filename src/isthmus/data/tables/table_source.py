"""Rows of a table whose columns become features, by numbers that are fitted on the training rows alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.core.scaling import Scaling
from isthmus.data.examples import cache_folder
from isthmus.data.formats.csv.marks import Marks
from isthmus.data.formats.labels import column_classes
from isthmus.data.formats.table_file import TableFile
from isthmus.data.memory import ROW, NoRoom, check_room, fits_in_memory, take_rows
from isthmus.data.source import PARTS, UNBOUNDED, Grouping, Reading, Source, unscaled_note
from isthmus.data.tables.fitting import fit, fit_scaling, robust
from isthmus.data.tables.kinds import Rules, columns_of
from isthmus.data.tables.opening import as_bad_input
from isthmus.data.tables.other_columns import (
    cells_of,
    check_label,
    release_arrow_memory,
    texts_of,
    times_of,
)
from isthmus.data.tables.preparation import Column, Kind, Preparation
from isthmus.data.tables.reading import BLOCK, Cells, read
from isthmus.data.tables.record import Record
from isthmus.data.tables.selection import check_roles, choose, override
from isthmus.data.tables.store import FileStore, MemoryStore, new_path, writing
from isthmus.data.tables.treatment import Treatment

if TYPE_CHECKING:
    from hashlib import _Hash

TREATED = {
    "drop": "their rows are left out",
    "mean": "filled in with the mean",
    "median": "filled in with the median",
    "indicator": "filled in with the mean, and a feature says so",
}
TREATED_ANEW = {  # of a table that is read for a trained model
    **dict.fromkeys(TREATED, "filled in as in training"),
    "drop": "{} no result; data.missing=mean fills them in as in training",
}
SAMPLE = 1 << 18  # training rows that a table in a file is fitted to
LABELS = {"label", "labels", "class", "classes", "target", "y", "species", "diagnosis", "category", "outcome"}
MOST_SAID = 8  # lines about columns that are left out
OUTLYING = 50  # robust deviations
OUTLYING_ELSEWHERE = 1000  # the same of rows that are not trained on, which may be the anomalies to be found


class TableSource(Source):
    """Examples [F], float32: the features of each row.

    The fingerprint is the SHA-256 of the content, of the names of the columns used, and of how it was read.

    Args:
        file: the table.
        path: where it is from, for messages.
        content: the SHA-256 of its content so far.
        how: the keys that say how it was read, without those that have their default.
        roles: the columns that are no features, by key: label, id, split_column, group_column, time_column.
        columns: see `table.Table`.
        drop: see there.
        treatment: how they become features.
        in_memory: see `table.Table`.
        known: what a run recorded, to read new data alike; None in training.
        marks: of the numbers in text files; None for other files.
        part_rows: for each of the numbers in `PARTS`, the number of rows of its files, in their order; None
            to draw all parts.
        origins: see `reading.read`.
        read_as: how the files were read, in words; without what is usual.

    Raises:
        BadInput: see `table.Table`.
    """

    def __init__(
        self,
        file: TableFile,
        *,
        path: str,
        content: _Hash,
        how: Mapping[str, Any],
        roles: Mapping[str, str | None],
        columns: Sequence[str] | None,
        drop: Sequence[str],
        treatment: Treatment,
        in_memory: str | bool,
        known: Record | None,
        marks: Marks | None = None,
        part_rows: Mapping[int, int] | None = None,
        origins: bool = True,
        read_as: Sequence[str] = (),
    ) -> None:
        with as_bad_input(path):
            check_room(file.rows * ROW, "the table")
        self._file, self.path, self._rows, self._read_as = file, path, file.rows, read_as
        rules, self.settings, self.unseen = treatment
        self.marks, self._date_format = marks, rules.date_format
        self._parts = None
        if part_rows is not None and len(part_rows) > 1:
            parts = [torch.full((rows,), part, dtype=torch.int8) for part, rows in part_rows.items()]
            self._parts = torch.cat(parts)
        self.prepared = known.preparation if known else None
        self._incomplete = 0
        if known:  # new data need no labels, groups and times
            roles = {key: name for key, name in roles.items() if name is not None and str(name) in file.names}
        self.roles = check_roles(file.names, path, roles)
        names = self._names(columns, drop)
        with as_bad_input(path):
            self._read_roles()
            given = {column.name: column for column in self.prepared.columns} if self.prepared else None
            found, self.dropped = columns_of(file, names, rules, given)
            self.cells = self._read(found, rules, in_memory, origins)
        self.dropped += self.cells.dropped
        if not self.cells.columns:
            reasons = "; ".join(f"{each.name!r}: {each.reason}" for each in self.dropped[:5])
            raise BadInput("path", path, f"no column can be a feature ({reasons})")
        self._outlying: list[str] = []
        self._check_missing()
        self._check_unseen()
        self.shape, self.value_range = (len(self.cells.columns),), UNBOUNDED
        self.preparation = self.prepared or Preparation(self.cells.columns)
        used = [column.name for column in self.cells.columns]
        features = set(used)
        more = [name for name in file.names if name not in features]
        self._others = known.others if known else more
        of_training = {*(more if self._others is None else self._others), *self.roles.values()}
        self._ignored = [name for name in more if name not in of_training]
        content.update(json.dumps([used, roles.get("label"), *([dict(how)] if how else [])]).encode())
        self.fingerprint = content.hexdigest()
        release_arrow_memory()

    def __len__(self) -> int:
        return self._rows

    def take(self, rows: Tensor) -> Tensor:
        if self.values is not None:
            return take_rows(self.values, rows)
        with as_bad_input(self.path):
            return torch.from_numpy(self.preparation.encode(self.cells.take(rows.numpy())))

    def scaling(self, train_rows: Tensor) -> Scaling:
        """Fit the columns to the training rows, turn all cells into features, and scale these."""
        if self.prepared is None:
            self._fit(train_rows.numpy())
        if isinstance(self.cells.store, MemoryStore):
            self._check_width()
            self.values = torch.from_numpy(self.preparation.encode(self.cells.take(slice(None))))
            self.cells = self.cells._replace(store=MemoryStore(0, 0))  # the features take its place
        self.shape, self.spans = (len(self.preparation.features),), self.preparation.spans()
        if self.prepared is None:
            self.preparation = self._scaled(train_rows)
        shift, scale = self.preparation.affine()
        if self.settings.scaling == "minmax":
            self.value_range = (0.0, 1.0)
        elif self.settings.scaling == "none":
            self.value_range = self._range()
        del self._file
        if self.settings.scaling == "none":
            return Scaling.unit()
        return Scaling(torch.from_numpy(scale), torch.from_numpy(shift))

    def grouping(self) -> Grouping:
        parts = self._parts_of_column() if "split_column" in self.roles else self._parts
        usable = None
        if self.settings.missing == "drop" and self.cells.missing:
            every = self.cells.blocks(np.arange(self._rows))
            usable = torch.from_numpy(np.concatenate([~np.isnan(block).any(axis=1) for block in every]))
            self._incomplete = int((~usable).sum())
        return Grouping(usable=usable, parts=parts, groups=self._groups, times=self._times)

    def column(self, name: str) -> np.ndarray:
        if name == "label" and name not in self._file.names:
            return super().column(name)
        if name not in self._file.names:
            raise KeyError(some(self._file.names))
        return cells_of(self._file, name)

    def feature_places(self) -> list[tuple[str, slice]]:
        return [(column.name, place) for column, place in self.preparation.places()]

    def remarks(self, train_rows: Tensor) -> list[tuple[str, str]]:
        said = []
        said += [("read as", each) for each in self._read_as]
        names = [column.name for column in self.preparation.columns]
        if self.preparation.features != names:
            said.append(("columns", f"{some(names)}, as {len(self.preparation.features):,} features"))
        said += [("left out", f"{name!r}: {reason}") for name, reason in self.dropped[:MOST_SAID]]
        if len(self.dropped) > MOST_SAID:
            said.append(
                ("left out", f"{len(self.dropped) - MOST_SAID} more columns; provenance.json has all")
            )
        if self._ignored:
            said.append(("ignored", f"columns that the training data did not have: {some(self._ignored)}"))
        if self.cells.missing:
            cells = [f"{rows.count} in {name!r}" for name, rows in self.cells.missing.items()]
            treated = (TREATED if self.prepared is None else TREATED_ANEW)[self.settings.missing]
            these = "1 row has" if self._incomplete == 1 else f"{self._incomplete:,} rows have"
            said.append(("missing", f"{some(cells)}; {treated.format(these)}"))
        if self.cells.unseen:
            new = [
                f"{count:,} of {self._rows:,} cells of {name!r}" for name, count in self.cells.unseen.items()
            ]
            said.append(("unseen", f"text that is in no training row: {some(new)}"))
        said += [
            (
                "note",
                f"{name!r} is another whole number in every row; if it is a name, not a measurement, give "
                f"{override('id', name)} or {override('drop', [name])}",
            )
            for name in self.cells.names_of_rows
        ]
        said += self._labels_said()
        if self._outlying:
            said.append(
                (
                    "note",
                    f"values more than {OUTLYING} robust deviations from the median: {some(self._outlying)}; "
                    f"try data.scaling=quantile or data.clip={OUTLYING}",
                )
            )
        return said + unscaled_note(self.value_range)

    def _labels_said(self) -> list[tuple[str, str]]:
        """A note on the first feature that has the name of a label; none for new data."""
        if self.prepared is not None or "label" in self.roles:
            return []
        names = [column.name for column in self.preparation.columns if column.name.strip().lower() in LABELS]
        said = "is trained on as a feature; if it is a label, give"
        return [("note", f"{name!r} {said} {override('label', name)}") for name in names[:1]]

    def describe(self) -> dict[str, Any]:
        own = {
            "columns": [column.name for column in self.preparation.columns],
            "label": self.roles.get("label"),
            "scaling": self.settings.scaling,
            "dropped": {each.name: each.reason for each in self.dropped},
            "prepared": Record(self.preparation, self.marks, self._others).plain(),
        }
        return {**super().describe(), **own}

    def _names(self, columns: Sequence[str] | None, drop: Sequence[str]) -> list[str]:
        """The columns that are wanted as features: those of the run, if it was trained already."""
        if self.prepared is None:
            return choose(self._file.names, self.path, self.roles, columns, drop)
        trained = [column.name for column in self.prepared.columns]
        try:
            return choose(self._file.names, self.path, {}, trained, ())
        except BadInput as error:
            raise BadInput(error.key, error.value, f"the run was trained on it, but {error.fix}") from error

    def _read_roles(self) -> None:
        file, roles = self._file, self.roles
        self._groups = self._times = None
        if "label" in roles:
            check_label(file, roles["label"])
            self.labels, self.label_names = column_classes(file, roles["label"], absent_class=True)
        if "id" in roles:
            self.ids = texts_of(file, roles["id"]).tolist()
        if "group_column" in roles:
            self._groups, _ = column_classes(file, roles["group_column"], key="group_column")
        if "time_column" in roles:
            self._times = torch.from_numpy(times_of(file, roles["time_column"], self._date_format))

    def _parts_of_column(self) -> Tensor:
        name = self.roles["split_column"]
        found = [each.strip().lower() for each in texts_of(self._file, name)]
        if other := sorted({each for each in found if each not in PARTS}):
            fix = f"has {some(other)}; its cells must be train, val or test"
            raise BadInput("split_column", name, fix)
        return torch.tensor([PARTS[each] for each in found], dtype=torch.int8)

    def _check_missing(self) -> None:
        missing = self.cells.missing
        if not missing or self.settings.missing != "refuse":
            return
        counts = [f"{name!r} in {rows}" for name, rows in missing.items()]
        total = sum(rows.count for rows in missing.values())
        fix = f"{total:,} {'cells are' if total > 1 else 'cell is'} missing: {some(counts, '; ')}; "
        if self.prepared is None:
            fix += (
                "data.missing=mean, median or indicator fills them in, data.missing=drop leaves the rows "
                f"out, and {override('drop', list(missing))} the columns"
            )
        else:
            fix += "data.missing=mean fills them in as in training, data.missing=drop leaves their rows "
            fix += "without a result"
        raise BadInput("missing", "refuse", fix)

    def _check_unseen(self) -> None:
        """Refuse text that was not in training, if the user says so."""
        if self.unseen == "refuse" and self.cells.unseen:
            new = [
                f"{count} cell{'s' * (count > 1)} of {name!r}" for name, count in self.cells.unseen.items()
            ]
            have = "has" if sum(self.cells.unseen.values()) == 1 else "have"
            raise BadInput("unseen", "refuse", f"{some(new)} {have} text that was not in training")

    def _check_width(self) -> None:
        """Raise `BadInput` if the features need more memory than there is: a text column can have many."""
        size = self._rows * len(self.preparation.features) * torch.float32.itemsize
        try:
            check_room(size, f"{len(self.preparation.features):,} features of each row")
        except NoRoom as error:
            fix = f"{error}, data.in_memory=false, or data.categorical=ordinal"
            raise BadInput("in_memory", True, fix) from error

    def _read(self, columns: list[Column], rules: Rules, in_memory: str | bool, origins: bool) -> Cells:
        """The cells of `columns`, in memory or in a file."""
        rows, known = self._rows, self.prepared is not None
        size = rows * (ROW + len(columns) * torch.float32.itemsize)
        if fits_in_memory(size, in_memory):
            check_room(size, "the table")
            store = MemoryStore(rows, len(columns))
            return read(self._file, columns, rules, store, known=known, origins=origins)
        self.reading = Reading.MAPPED
        path = new_path(cache_folder("tables"))
        with writing(path, rows, len(columns)) as written:
            cells = read(self._file, columns, rules, written, known=known, origins=origins)
        mapped = FileStore(path)
        path.unlink()  # the mapping keeps the content, and a killed process leaves nothing behind
        return cells._replace(store=mapped)

    def _fit(self, rows: np.ndarray) -> None:
        """Fit the columns to the training rows: to all of them in memory, to a sample of them in a file."""
        cells = self.cells
        stored = isinstance(cells.store, MemoryStore)
        chosen = rows if stored else self._sample(rows)
        sample = None if stored else cells.take(chosen)
        fitted = []
        for at, column in enumerate(cells.columns):
            values = cells.column(at, chosen) if sample is None else sample[:, at]
            self._look_for_outliers(column, values, cells.column(at, slice(None)) if stored else values)
            fitted.append(fit(column, values, self.settings))
            if at in cells.places:
                position = {name: place for place, name in enumerate(fitted[-1].categories)}
                new = np.array([position.get(name, -1) for name in [*column.categories, ""]], np.int64)
                cells.places[at] = new[cells.places[at]]
                if stored and (unseen := int((cells.column(at, slice(None)) < 0).sum())):
                    cells.unseen[column.name] = unseen
        self.preparation = Preparation(fitted)
        self._check_unseen()

    @staticmethod
    def _sample(rows: np.ndarray) -> np.ndarray:
        """At most `SAMPLE` of the rows, evenly spaced."""
        return rows if len(rows) <= SAMPLE else rows[:: -(-len(rows) // SAMPLE)]

    def _look_for_outliers(self, column: Column, training: np.ndarray, cells: np.ndarray) -> None:
        """Note a column with values that would crush the others, or are unlike all in training."""
        if column.kind is not Kind.NUMBER or self.settings.clip or self.settings.scaling == "quantile":
            return
        present, every = training[~np.isnan(training)], cells[~np.isnan(cells)]
        if not len(present):
            return
        middle, deviation = robust(present)
        furthest, elsewhere = (float(np.abs(values - middle).max()) for values in (present, every))
        if elsewhere > OUTLYING_ELSEWHERE * deviation:
            furthest = elsewhere
        if deviation and furthest > OUTLYING * deviation:
            self._outlying.append(f"{column.name!r} ({furthest / deviation:,.0f})")

    def _range(self) -> tuple[float, float]:
        """The lowest and the highest unscaled feature of all rows."""
        lowest, highest = np.inf, -np.inf
        for rows in torch.arange(self._rows).split(max(1, BLOCK // (4 * self.shape[0]))):
            features = self.take(rows).numpy()
            lowest = min(lowest, np.nanmin(features, initial=np.inf))
            highest = max(highest, np.nanmax(features, initial=-np.inf))
        return float(lowest), float(highest)

    def _scaled(self, train_rows: Tensor) -> Preparation:
        """The preparation with the shift and the scale of each column of numbers or dates."""
        scaling = self.settings.scaling
        if scaling == "none":
            return self.preparation
        if scaling == "standardize":
            found = self._standardize(train_rows)
            shift, scale = np.asarray(found.shift), np.asarray(found.scale)
        else:
            rows = (
                train_rows if self.values is not None else torch.from_numpy(self._sample(train_rows.numpy()))
            )
            shift, scale = fit_scaling(self.take(rows).numpy(), scaling)
        return self.preparation.scaled(shift, scale)
