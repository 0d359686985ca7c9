"""The original of a reproduction: recorded before training, compared with afterwards.

A resumed reproduction finds its original through its provenance.json. That file is untrusted and may name any
folder on this machine. So it also contains a fingerprint of the original: only a run whose content the
author of the file knew is compared, and nothing is written to it.
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
    """A finished run to compare with.

    Attributes:
        folder: its folder.
        config: its config.
        record: its results, metrics and weights.
        provenance: its provenance.json; empty if there is none.
    """

    folder: RunFolder
    config: DictConfig
    record: Record
    provenance: Mapping[str, Any]


def read_original(folder: RunFolder) -> Original:
    """Read a finished run.

    Raises:
        BadInput: a file is missing or damaged, or config.yaml is not the config it was trained with.
    """
    config, record = folder.read_config(), read_record(folder)
    check_trained(record.config, config)
    return Original(folder, config, record, folder.read_provenance())


def reference(original: RunFolder, *, tolerance: float) -> dict[str, Any]:
    """The entry for the original in the provenance of a reproduction."""
    return {
        "run": str(original.path.resolve()),
        "fingerprint": _fingerprint(original),
        "tolerance": tolerance,
    }


def is_reproduction(folder: RunFolder) -> bool:
    """Whether a run was started by `isthmus reproduce`."""
    return folder.read_provenance().get(KEY) is not None


def conclude_resumed(folder: RunFolder) -> Verdict:
    """Compare a resumed reproduction with the original that its provenance names.

    Raises:
        BadInput: the entry is damaged, the original is missing or has changed since it was recorded, or the
            verdict cannot be written.
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
            sweep(folder.path)  # the process may have been killed while writing the verdict
            return conclude(folder, read_original(original), tolerance=tolerance)
        except OSError as error:
            raise BadInput("RUN", folder.reproduction, f"cannot be written ({error.strerror})") from error


def conclude(folder: RunFolder, original: Original, *, tolerance: float) -> Verdict:
    """Compare a finished reproduction with its original; writes the verdict to reproduction.json."""
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
    """The keys that change the experiment, with old and new values."""
    found = changed(flat(before), flat(after))
    return {key: values for key, values in found.items() if not is_neutral(key)}


def differences_between(
    original: Mapping[str, Any], now: Mapping[str, Any], changes: Mapping[str, Any]
) -> list[Difference]:
    """Differences other than intended changes; a changed seed is also in the provenance, and is skipped."""
    return [difference for difference in differences(original, now) if difference.what not in changes]


def _tolerance(value: Any) -> float | None:
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
    return value if valid else None


def _fingerprint(original: RunFolder) -> str:
    """SHA-256 of the files that describe a run and its results; empty if one is missing."""
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
