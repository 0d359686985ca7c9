"""The verdict on a reproduction. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from isthmus.runs.comparison.provenance_diff import Difference

if TYPE_CHECKING:
    from isthmus.runs.comparison.run_diff import Comparison, Metric

# Relative. Measured on five experiments: other threads or instructions changed no metric by more than 1.5%;
# another seed changed the most affected metric by at least 2.2%.
TOLERANCE = 0.02

IDENTICAL, WITHIN, DIFFERENT, NOT_JUDGED = "identical", "within tolerance", "different", "not judged"


@dataclass(frozen=True)
class Verdict:
    """A comparison, its possible explanations and the verdict.

    Attributes:
        verdict: identical, within tolerance, different, or not judged if the experiment was changed.
        tolerance: relative tolerance of each final metric.
        changed: config keys changed by overrides: old and new value.
        differences: between the two provenances.
        comparison: of the two folders.
    """

    verdict: str
    tolerance: float
    changed: Mapping[str, tuple[Any, Any]]
    differences: Sequence[Difference]
    comparison: Comparison

    @property
    def farthest(self) -> Metric | None:
        """The final metric with the largest relative difference; one that cannot be compared comes first."""
        off = [metric for metric in self.comparison.results if metric.has_tolerance and not metric.same]
        return max(off, key=lambda metric: inf if metric.relative is None else metric.relative, default=None)

    def as_json(self) -> dict[str, Any]:
        """The content of reproduction.json, in plain types."""
        return {
            "verdict": self.verdict,
            "tolerance": self.tolerance,
            "changed": {key: {"original": old, "now": new} for key, (old, new) in self.changed.items()},
            "differences": [
                {"what": d.what, "original": d.original, "reproduced": d.reproduced, "rounds": d.rounds}
                for d in self.differences
            ],
            "results": {
                metric.name: {key: value for key, value in asdict(metric).items() if key != "name"}
                for metric in self.comparison.results
            },
            "metrics": asdict(self.comparison.metrics),
            "weights": {name: asdict(weights) for name, weights in self.comparison.weights.items()},
        }


def compute_verdict(
    comparison: Comparison,
    differences: Sequence[Difference],
    *,
    changed: Mapping[str, tuple[Any, Any]],
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Compute the verdict.

    The tolerance applies if the hardware, threads or processes differ, and the data do not. Then numbers
    round differently, but every final metric must agree within the tolerance.
    """
    if changed:
        verdict = NOT_JUDGED
    elif comparison.identical:
        verdict = IDENTICAL
    elif (
        any(difference.rounds for difference in differences)
        and not any(difference.concerns_data for difference in differences)
        and all(metric.within(tolerance) for metric in comparison.results)
    ):
        verdict = WITHIN
    else:
        verdict = DIFFERENT
    return Verdict(verdict, tolerance, changed, differences, comparison)
