"""What a run records of its table, so that new data are read and prepared as those of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.common.errors import BadInput
from isthmus.data.formats.csv.marks import Marks
from isthmus.data.tables.preparation import Preparation


class Record(NamedTuple):
    """The part of a run's provenance that describes its columns.

    Attributes:
        preparation: fitted to the training rows.
        marks: of the numbers in text files; None for other files.
        others: the names of the columns of the training data that are no features; None in runs that are
            older than the record.
    """

    preparation: Preparation
    marks: Marks | None
    others: Sequence[str] | None = None

    def plain(self) -> dict[str, Any]:
        """In plain types, for JSON."""
        marks = {} if self.marks is None else {"marks": self.marks._asdict()}
        others = {} if self.others is None else {"others": list(self.others)}
        return {"columns": self.preparation.plain(), **marks, **others}

    @classmethod
    def of(cls, recorded: object) -> Record | None:
        """The inverse of `plain`, for records that may be damaged or forged; None for None.

        Raises:
            BadInput: it is not as isthmus records it.
        """
        if recorded is None:
            return None
        try:
            if not isinstance(recorded, Mapping):
                raise ValueError("it is no mapping")
            return cls(
                Preparation.of(recorded.get("columns")),
                _marks(recorded.get("marks")),
                _others(recorded.get("others")),
            )
        except ValueError as error:
            raise BadInput("prepared", "", f"the run's record of its columns is damaged: {error}") from error


def _others(recorded: object) -> list[str] | None:
    if recorded is None or (isinstance(recorded, list) and all(isinstance(name, str) for name in recorded)):
        return recorded
    raise ValueError("its other columns are not as isthmus records them")


def _marks(recorded: object) -> Marks | None:
    if recorded is None:
        return None
    if isinstance(recorded, Mapping) and set(recorded) == set(Marks._fields):
        marks = Marks(**recorded)
        if marks.decimal in (".", ",") and marks.thousands in ("", ".", ",", " ", "'"):
            return marks
    raise ValueError("its marks are not as isthmus records them")
