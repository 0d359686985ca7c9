"""Measures how well a run denoises its own test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from isthmus.common.errors import BadInput
from isthmus.runs.folder.lookup import find_run
from isthmus.runs.run_data import is_same_data
from isthmus.tasks.denoising.evaluation import Evaluation, Score, Shown
from isthmus.tasks.denoising.report import write_report
from isthmus.tasks.inputs.run_data import open_run_data
from isthmus.tasks.trained_model import TrainedModel


class Measured(NamedTuple):
    """What `measure` found: the scores, level by level, and the files."""

    scores: list[Score]
    files: list[Path]


def measure(
    model: TrainedModel,
    run: Path,
    folder: Path,
    *,
    levels: Sequence[float],
    images: int = 500,
    seed: int = 0,
    overrides: Sequence[str] = (),
    said: Callable[[str], None] = lambda line: None,
) -> Measured:
    """Score the model and classical methods at each level, and write denoising.csv and the pictures.

    Args:
        model: of the run.
        run: as typed.
        folder: for the files; made if it is missing.
        levels: standard deviations of the noise, in the unit of the scaled data.
        images: see `Evaluation`.
        seed: see `Evaluation`.
        overrides: where the data are now: ``data.path=...``.
        said: takes a line for the user for each method that is left out, and for each level.

    Raises:
        BadInput: the run or its data are not there, or the data or the split are not those of training.
    """
    place = find_run(run)
    opened = open_run_data(place, overrides=overrides)
    if not is_same_data(opened.trained_on, opened.data):
        fix = "are not the data and the split of the run; give INPUT and OUTPUT for other data"
        raise BadInput("data", " ".join(overrides) or "as in the config", fix)
    evaluation = Evaluation(model, opened.data, images=images, seed=seed)
    for name, why in evaluation.skipped.items():
        said(f"skipped    {name}: {why}")
    scores: list[Score] = []
    pictures: list[Shown] = []
    for number, level in enumerate(levels, 1):
        own, shown = evaluation.at(level)
        said(f"measured   noise of {level:g}, {number} of {len(levels)}")
        scores += own
        pictures += [] if shown is None else [shown]
    trained = float(opened.cfg.noise.get("std", 0.0))
    chosen = min(pictures, key=lambda shown: abs(shown.level - trained), default=None)
    return Measured(scores, write_report(folder, scores, chosen, model.value_range))
