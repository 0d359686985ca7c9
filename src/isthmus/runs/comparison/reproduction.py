"""The run that a reproduction is compared with: recorded before training begins, compared with afterwards.

A reproduction that was interrupted and resumed is compared by what its provenance.json records. That may be a
stranger's and name any folder of this machine, so it also holds a fingerprint of the original: only a run
whose content the writer of the record knew is compared with, and nothing is written to it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from isthmus.common.atomic_files import sweep
from isthmus.common.errors import BadInput
from isthmus.runs.comparison.provenance_diff import Difference, differences
from isthmus.runs.comparison.run_diff import Record, compare, read_record
from isthmus.runs.comparison.verdict import Verdict, compute_verdict
from isthmus.runs.config.keys import changed, check_trained, flat, is_neutral
from isthmus.runs.folder.run_folder import RunFolder

KEY = "reproduces"  # in provenance.json


class Original(NamedTuple):
    """A run that is done, to compare with.

    Attributes:
        folder: its folder.
        config: the config in it.
        record: its results, metrics and weights.
        provenance: its provenance.json, empty where there is none.
    """

    folder: RunFolder
    config: DictConfig
    record: Record
    provenance: Mapping[str, Any]


def read_original(folder: RunFolder) -> Original:
    """Read a run that is done.

    Raises:
        BadInput: a file is missing or damaged, or config.yaml is not what it was trained with.
    """
    config, record = folder.read_config(), read_record(folder)
    check_trained(record.config, config)
    return Original(folder, config, record, folder.read_provenance())


def reference(original: RunFolder, *, tolerance: float) -> dict[str, Any]:
    """What the provenance of a reproduction says of the run that it reproduces."""
    return {
        "run": str(original.path.resolve()),
        "fingerprint": _fingerprint(original),
        "tolerance": tolerance,
    }


def is_reproduction(folder: RunFolder) -> bool:
    """Whether a run was begun by `isthmus reproduce`."""
    return folder.read_provenance().get(KEY) is not None


def conclude_resumed(folder: RunFolder) -> Verdict:
    """Compare a reproduction that was resumed with the original that its provenance names.

    Raises:
        BadInput: the record is damaged, the original is gone or is not as it was when it was recorded, or
            the verdict cannot be written.
    """
    recorded = folder.read_provenance().get(KEY)
    found = recorded if isinstance(recorded, Mapping) else {}
    name, tolerance = found.get("run"), _tolerance(found.get("tolerance"))
    if not isinstance(name, str) or "\0" in name or not Path(name).is_absolute() or tolerance is None:
        raise BadInput("RUN", folder.path, "its provenance.json does not name an original to compare with")
    original = RunFolder(Path(name))
    try:
        there = original.path.is_dir()
    except OSError:  # such as a name that is too long
        there = False
    if not there:
        raise BadInput("RUN", name, "the original is no longer there; put it back")
    if not RunFolder.open(original.path).is_done or _fingerprint(original) != found.get("fingerprint"):
        raise BadInput(
            "RUN", name, "is not the original any more: it was trained further, changed or replaced since"
        )
    with folder.held():
        try:
            sweep(folder.path)  # the verdict may have been written when the process was killed
            return conclude(folder, read_original(original), tolerance=tolerance)
        except OSError as error:
            raise BadInput("RUN", folder.reproduction, f"cannot be written ({error.strerror})") from error


def conclude(folder: RunFolder, original: Original, *, tolerance: float) -> Verdict:
    """Compare a reproduction that is done with its original; the verdict stays in reproduction.json."""
    changes = changes_between(original.config, folder.read_config())
    verdict = compute_verdict(
        compare(original.record, read_record(folder)),
        differences_between(original.provenance, folder.read_provenance(), changes),
        changed=changes,
        tolerance=tolerance,
    )
    paths = {"original": str(original.folder.path.resolve()), "reproduced": str(folder.path.resolve())}
    folder.write_json(folder.reproduction, {**paths, **verdict.as_json()})
    return verdict


def changes_between(before: DictConfig, after: DictConfig) -> dict[str, tuple[Any, Any]]:
    """The keys that change the experiment: their values then and now."""
    found = changed(flat(before), flat(after))
    return {key: values for key, values in found.items() if not is_neutral(key)}


def differences_between(
    original: Mapping[str, Any], now: Mapping[str, Any], changes: Mapping[str, Any]
) -> list[Difference]:
    """What differs besides the keys that were changed on purpose, of which the seed is recorded twice."""
    return [difference for difference in differences(original, now) if difference.what not in changes]


def _tolerance(value: Any) -> float | None:
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
    return value if valid else None


def _fingerprint(original: RunFolder) -> str:
    """SHA-256 over the files that say what a run was and came to; empty where one is missing."""
    whole = hashlib.sha256()
    for path in (original.config, original.results, original.metrics):
        if not path.is_file():
            return ""
        try:
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise BadInput("RUN", path, f"cannot be read ({error.strerror})") from error
    return whole.hexdigest()
