"""Trains in the process of a script or a notebook, whose random numbers and threads stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from pytorch_lightning.utilities.seed import isolate_rng

from isthmus.common.dotted_keys import flatten
from isthmus.common.errors import BadInput, TrainingDiverged
from isthmus.notebook.run import Run
from isthmus.runs.config.compose import Wanted, compose_run, is_follower, quoted
from isthmus.runs.config.hydra.errors import composed
from isthmus.runs.resume import resume
from isthmus.runs.train import train
from isthmus.tasks.inputs.kept import keep


def train_run(
    overrides: Sequence[str] | Mapping[str, Any] | DictConfig | None,
    *,
    data: Any = None,
    labels: Any = None,
    path: str | Path | None = None,
) -> Run:
    """See `isthmus.train`."""
    if data is None and labels is not None:
        raise BadInput(
            "labels", type(labels).__name__, "are of data; give both, or data.label and data.labels"
        )
    if isinstance(overrides, DictConfig):
        if data is not None:
            raise BadInput("data", type(data).__name__, "cannot replace those of a config; give overrides")
        cfg, typed = overrides.copy(), []
        wanted = Wanted(cfg, compose_run([]).path, "unnamed")
    else:
        typed = _typed(overrides)
        if data is not None:
            if chosen := next((each for each in typed if each.partition("=")[0] == "data"), None):
                raise BadInput(
                    "data", chosen.partition("=")[2], "is another choice than the data that are given"
                )
            typed = [*keep(data, labels), *typed]
        wanted = composed(typed)
    place = wanted.path if path is None else Path(path).expanduser()
    with _unchanged():
        try:
            folder = train(
                wanted.cfg, None if is_follower() else place, overrides=typed, experiment=wanted.experiment
            )
        except TrainingDiverged as error:
            raise _shown(error, place) from None
    return Run(folder.path)


def resume_run(path: Path, overrides: Sequence[str] | Mapping[str, Any] | None = None) -> Run:
    """See `Run.resume`."""
    with _unchanged():
        try:
            return Run(resume(path, overrides=_typed(overrides)).path)
        except TrainingDiverged as error:
            raise _shown(error, path) from None


def _shown(error: TrainingDiverged, path: Path) -> TrainingDiverged:
    """The error with its run, and without the frames of the training loop, which say nothing of the cause."""
    error.add_note(f"its run: isthmus.open_run({str(path)!r})")
    return error.with_traceback(None)


@contextmanager
def _unchanged() -> Iterator[None]:
    """Restore the random numbers and the number of threads of this process."""
    threads = torch.get_num_threads()
    try:
        with isolate_rng():
            yield
    finally:
        torch.set_num_threads(threads)


def _typed(overrides: Sequence[str] | Mapping[str, Any] | None) -> list[str]:
    """Overrides as on the command line."""
    if overrides is None:
        return []
    if isinstance(overrides, Mapping):
        return [f"{key}={_text(str(key), value)}" for key, value in flatten(dict(overrides)).items()]
    if isinstance(overrides, str) or not all(isinstance(each, str) for each in overrides):
        fix = 'must be a list of texts, ["latent.dim=8"], a mapping, {"latent.dim": 8}, or a config'
        raise BadInput("overrides", overrides, fix)
    return list(overrides)


def _text(key: str, value: Any) -> str:
    """A value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(key, each) for each in value)}]"
    if not isinstance(value, str | Path):
        return str(value.item() if hasattr(value, "item") else value)
    text = str(value)
    try:
        override = OverridesParser.create().parse_override(f"{key}={text}")
        if not override.is_sweep_override() and override.value() == text:
            return text
    except (HydraException, ValueError):
        pass
    return quoted(text)
