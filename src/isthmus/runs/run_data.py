"""Loads the data of a run from its folder, prepared and split as in training. Imports no Lightning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig

from isthmus.common.errors import BadInput
from isthmus.data.loading.splits import Split, all_in_test
from isthmus.data.module import DataModule
from isthmus.data.source import Source
from isthmus.runs.config.data import build_data
from isthmus.runs.config.destinations import check_opened
from isthmus.runs.config.overrides import apply_overrides
from isthmus.runs.config.validation import check
from isthmus.runs.folder.run_folder import RunFolder

FINGERPRINTS = ("fingerprint", "split_fingerprint")  # recorded of the data, and of their split
# keys of the split of new data; without them all rows are tested
SPLIT_KEYS = {"data.test_size", "data.val_size", "data.split_column", "data.val_path", "data.test_path"}


class RunData(NamedTuple):
    """The data of a run.

    Attributes:
        cfg: its config with the overrides applied.
        data: the data, prepared and split as in training.
        trained_on: the description of the training data in the provenance; empty if there is none.
        leaked: number of test rows that the model was trained on or chosen by.
    """

    cfg: DictConfig
    data: DataModule
    trained_on: Mapping[str, Any]
    leaked: int


def is_same_data(trained_on: Mapping[str, Any], data: DataModule) -> bool:
    """Whether data and their split are those that a run recorded."""
    now = data.describe()
    return all(trained_on.get(key) == now[key] for key in FINGERPRINTS)


def load_data(folder: RunFolder, *, overrides: Sequence[str] = ()) -> RunData:
    """Load the data of a run, without its model.

    Args:
        folder: the run folder.
        overrides: changes of the config, such as ``data.path=...``.
    """
    trained = folder.read_config()
    cfg = apply_overrides(trained.copy(), overrides)
    check(cfg)
    check_opened(cfg, overrides)
    recorded = folder.read_provenance().get("data")
    trained_on = recorded if isinstance(recorded, dict) else {}
    data = _data(cfg, trained_on, overrides)
    return RunData(cfg, data, trained_on, _leaked(trained, cfg, data, trained_on))


def _leaked(
    trained: DictConfig,
    cfg: DictConfig,
    data: DataModule,
    trained_on: Mapping[str, Any],
) -> int:
    """The number of test rows that were training or validation rows of the run."""
    if trained_on.get("fingerprint") != data.source.fingerprint:
        return 0
    if trained_on.get("split_fingerprint") == data.split.fingerprint():
        return 0
    was = trained.copy()  # the split as it was drawn: overrides may change what it is drawn by
    for key in ("path", "root"):  # the same data may be in another place
        if key in was.data:
            was.data[key] = cfg.data[key]
    before = build_data(was, trained_on.get("prepared")).split
    return int(torch.isin(data.split.test, torch.cat([before.train, before.val])).sum())


def _data(cfg: DictConfig, trained_on: Mapping[str, Any], overrides: Sequence[str]) -> DataModule:
    """The data, prepared as those of training; all rows are the test set if they are other data.

    Args:
        cfg: the config with the overrides applied.
        trained_on: the description of the training data.
        overrides: as typed.
    """
    given = dict(override.lstrip("+~").partition("=")[::2] for override in overrides)
    typed = {key for key, value in given.items() if value != "null"}
    former = ("val_path", "test_path", "split_column", "group_column", "time_column")
    for key in former if "data.path" in typed else ():
        if key in cfg.data and f"data.{key}" not in typed:
            cfg.data[key] = None  # they belong to the former data

    def split(source: Source) -> Split | None:
        """All rows as the test set, of other data than those of training, unless their split is typed."""
        other = trained_on.get("fingerprint") not in (None, source.fingerprint)
        whole = other and typed & {"data.path", "data.root"} and not typed & SPLIT_KEYS
        return all_in_test(len(source), source.grouping()) if whole else None

    prepared = trained_on.get("prepared")
    if prepared is None:
        return _unprepared(cfg, trained_on.get("columns"), given, split)
    if "drop" in cfg.data and "data.drop" not in given:
        cfg.data.drop = []  # the file may lack columns that the run does not use
    data = build_data(cfg, prepared, split)
    names = data.source.describe()["columns"]
    if (asked := cfg.data.get("columns")) is not None and list(map(str, asked)) != names:
        raise BadInput("data.columns", asked, f"the run was trained on {names}, in this order")
    return data


def _unprepared(
    cfg: DictConfig, columns: Any, given: Mapping[str, str], split: Callable[[Source], Split | None]
) -> DataModule:
    """Data of which the run recorded no preparation. Columns are matched by name with those of training.

    Args:
        cfg: the config with the overrides applied.
        columns: recorded by the run; None if the data have none, or the run predates the record.
        given: the overrides as typed, by key.
        split: see `build_data`.
    """
    named = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    named = named and "columns" in cfg.data
    matched = named and cfg.data.columns is None and not any("${" in name for name in columns)
    if matched:
        cfg.data.columns = columns
    if named and "drop" in cfg.data and "data.drop" not in given:
        cfg.data.drop = []  # the file may lack columns that the run does not use
    try:
        data = build_data(cfg, split=split)
    except BadInput as error:
        if matched and error.key == "data.columns":
            raise BadInput(error.key, error.value, f"the run was trained on it, but {error.fix}") from error
        raise
    if named and data.source.describe().get("columns") != columns:
        raise BadInput("data.columns", cfg.data.columns, f"the run was trained on {columns}, in this order")
    return data
