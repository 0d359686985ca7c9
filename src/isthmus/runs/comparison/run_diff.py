"""Compare two run folders, number by number and bit by bit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.runs.folder.migrations import COUNTED_FROM_1
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.checkpoint.content import Checkpoint
from isthmus.training.writers.metrics_reader import is_test, read_metrics

CHECKPOINTS = ("best", "last")
STAGES = ("train/", "val/", "test/")


class Record(NamedTuple):
    """The recorded outcome of a run.

    Attributes:
        results: results.json.
        rows: rows of metrics.csv as text, without empty cells.
        weights: the state dict of each checkpoint.
        config: the config recorded in the best checkpoint, as `check_trained` takes it.
    """

    results: Mapping[str, Any]
    rows: Sequence[Mapping[str, str]]
    weights: Mapping[str, Mapping[str, Tensor]]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """One entry of results.json: a number, a list of numbers, or None if it was not finite.

    Attributes:
        difference: the largest absolute difference.
        relative: `difference` divided by the largest magnitude in either run.
    """

    name: str
    original: Any
    reproduced: Any
    difference: float | None
    relative: float | None

    @property
    def same(self) -> bool:
        return type(self.original) is type(self.reproduced) and self.original == self.reproduced

    @property
    def has_tolerance(self) -> bool:
        """Whether the tolerance applies: to single measured numbers, not to lists, which break one down."""
        return self.name.startswith(STAGES) and not isinstance(self.original, list)

    def within(self, tolerance: float) -> bool:
        """Whether both runs agree within the tolerance, or it does not apply."""
        near = self.relative is not None and self.relative <= tolerance
        return self.same or not self.has_tolerance or near


@dataclass(frozen=True)
class Rows:
    """Comparison of the two metrics.csv files.

    Attributes:
        original: number of rows in the original.
        reproduced: number of rows in the reproduction.
        same: number of rows that are the same in both.
        cells: number of values in either.
        same_cells: number of values that are the same in both.
        first: step and column of the first difference, and both values; None if there is none.
    """

    original: int
    reproduced: int
    same: int
    cells: int
    same_cells: int
    first: Mapping[str, Any] | None


@dataclass(frozen=True)
class Weights:
    """Comparison of two checkpoints.

    Attributes:
        tensors: number of tensors in either.
        differing: tensors that differ in bits, shape or type, or that only one checkpoint has.
        largest_difference: over the tensors that can be subtracted; None if there are none.
        relative_distance: norm of the difference over the norm of the original; None likewise.
    """

    tensors: int
    differing: Sequence[str]
    largest_difference: float | None
    relative_distance: float | None


@dataclass(frozen=True)
class Comparison:
    """The complete comparison of two runs."""

    results: Sequence[Metric]
    metrics: Rows
    weights: Mapping[str, Weights]

    @property
    def identical(self) -> bool:
        """Whether everything is identical to the bit."""
        return (
            all(metric.same for metric in self.results)
            and self.metrics.first is None
            and not any(weights.differing for weights in self.weights.values())
        )


def read_record(folder: RunFolder) -> Record:
    """Read the recorded outcome of a run from its folder.

    Raises:
        BadInput: if a file is missing or damaged.
    """
    for path in (folder.results, folder.metrics):
        if not path.is_file():
            raise BadInput("RUN", folder.path, f"has no {path.name}, so there is nothing to compare with")
    checkpoints = {name: _checkpoint(folder, name) for name in CHECKPOINTS}
    results = folder.read_json(folder.results)
    return Record(
        results=results,
        rows=_rows(folder, tested={unit: str(results.get(unit)) for unit in ("epoch", "step")}),
        weights={name: checkpoint.weights for name, checkpoint in checkpoints.items()},
        config=checkpoints["best"].config,
    )


def compare(original: Record, reproduced: Record) -> Comparison:
    """Compare two runs, number by number."""
    names = dict.fromkeys((*original.results, *reproduced.results))
    return Comparison(
        results=[_metric(name, original.results.get(name), reproduced.results.get(name)) for name in names],
        metrics=_compare_rows(original.rows, reproduced.rows),
        weights={
            name: compare_weights(original.weights[name], reproduced.weights[name]) for name in CHECKPOINTS
        },
    )


def compare_weights(original: Mapping[str, Tensor], reproduced: Mapping[str, Tensor]) -> Weights:
    """Compare two state dicts, bit by bit: a NaN equals itself, and 0.0 differs from -0.0."""
    names = list(dict.fromkeys((*original, *reproduced)))
    differing = [
        name
        for name in names
        if name not in original or name not in reproduced or not same_bits(original[name], reproduced[name])
    ]
    pairs = [
        (original[name].double(), reproduced[name].double())
        for name in names
        if name in original and name in reproduced and _subtractable(original[name], reproduced[name])
    ]
    if not pairs:
        return Weights(len(names), differing, None, None)
    largest = max((float((b - a).abs().max()) for a, b in pairs if a.numel()), default=0.0)
    apart = math.sqrt(sum(float((b - a).square().sum()) for a, b in pairs))
    norm = math.sqrt(sum(float(a.square().sum()) for a, _ in pairs))
    return Weights(len(names), differing, largest, apart / norm if norm else (0.0 if not apart else math.inf))


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same type, shape and bits."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    bytes_a, bytes_b = (t.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for t in (a, b))
    return torch.equal(bytes_a, bytes_b)


def _subtractable(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.is_floating_point() and b.is_floating_point()


def _metric(name: str, original: Any, reproduced: Any) -> Metric:
    a, b = _numbers(original), _numbers(reproduced)
    if a is None or b is None or len(a) != len(b):
        return Metric(name, original, reproduced, None, None)
    difference = max((abs(y - x) for x, y in zip(a, b, strict=True)), default=0.0)
    scale = max(map(abs, (*a, *b)), default=0.0)
    return Metric(name, original, reproduced, difference, difference / scale if difference else 0.0)


def _numbers(value: Any) -> list[float] | None:
    values = value if isinstance(value, list) else [value]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return None
    try:
        return [float(v) for v in values]
    except OverflowError:  # integers beyond the range of float
        return None


def _compare_rows(original: Sequence[Mapping[str, str]], reproduced: Sequence[Mapping[str, str]]) -> Rows:
    same = cells = same_cells = 0
    first: dict[str, Any] | None = None
    counterparts = _by_occasion(reproduced)
    pairs = [(row, counterparts.pop(key, {})) for key, row in _by_occasion(original).items()]
    pairs += [({}, row) for row in counterparts.values()]
    for a, b in pairs:
        columns = sorted(dict.fromkeys((*a, *b)), key=lambda name: "/" not in name)  # metrics first
        differing = [column for column in columns if not _same_text(a.get(column), b.get(column))]
        cells += len(columns)
        same_cells += len(columns) - len(differing)
        same += not differing
        if differing and first is None:
            column = differing[0]
            first = {
                "step": a.get("step", b.get("step")),
                "column": column,
                "original": a.get(column),
                "reproduced": b.get(column),
            }
    return Rows(len(original), len(reproduced), same, cells, same_cells, first)


def _by_occasion(rows: Sequence[Mapping[str, str]]) -> dict[tuple[Any, ...], Mapping[str, str]]:
    """Index rows by step, stage, whether they are per step or per epoch, and a counter of repeats."""
    found: dict[tuple[Any, ...], Mapping[str, str]] = {}
    times: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        metric = next((name for name in row if "/" in name), "")
        occasion = (row.get("step"), metric.partition("/")[0], metric.endswith("_step"))
        times[occasion] += 1
        found[*occasion, times[occasion]] = row
    return found


def _same_text(a: str | None, b: str | None) -> bool:
    """Whether two cells contain the same number: 2 equals 2.0, and 0.0 differs from -0.0."""
    if a == b or a is None or b is None:
        return a == b
    try:
        return float(a).hex() == float(b).hex()
    except ValueError:
        return False


def _rows(folder: RunFolder, *, tested: Mapping[str, str]) -> list[dict[str, str]]:
    try:
        rows = [{name: text for name, text in row.items() if text} for row in read_metrics(folder.metrics)]
        if folder.format < COUNTED_FROM_1:  # the row of the test had the counts at the end of training
            rows = [{**row, **tested} if is_test(row) else row for row in rows]
        return rows
    except (OSError, ValueError) as error:
        raise BadInput("RUN", folder.path, f"its metrics.csv cannot be read: {error}") from error


def _checkpoint(folder: RunFolder, name: str) -> Checkpoint:
    path = folder.checkpoint(name)
    try:
        checkpoint = Checkpoint.read(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput("RUN", folder.path, f"{path.name} cannot be read: {error}") from error
    if not all(isinstance(weight, Tensor) for weight in checkpoint.weights.values()):
        raise BadInput("RUN", folder.path, f"{path.name} holds no weights")
    return checkpoint
