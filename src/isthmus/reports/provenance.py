"""Where a run comes from, in lines. The JSON that it reads is untrusted. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.common.messages import printable
from isthmus.runs.comparison.provenance_diff import changed_files

PACKAGES = ("torch", "pytorch-lightning", "hydra-core")  # whose versions are in a line


def facts(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a run comes from, as (name, line); whatever is not recorded is left out."""

    def known(key: str) -> Mapping[str, Any]:
        value = provenance.get(key)
        return value if isinstance(value, Mapping) else {}

    for key in ("experiment", "isthmus", "python"):
        if key in provenance:
            yield key, printable(provenance[key], 100)
    for name, repository in known("code").items():
        label = "code" if name == "isthmus" else "code here"
        if name == "isthmus" or repository != known("code").get("isthmus"):
            yield label, _code(repository)
    packages, hardware, data = known("packages"), known("hardware"), known("data")
    if packages:
        versions = ", ".join(f"{n} {printable(packages[n], 30)}" for n in PACKAGES if n in packages)
        yield "packages", f"{versions} ({len(packages)} in all)"
    if hardware:
        yield "hardware", _hardware(hardware)
    threads = provenance.get("threads", hardware.get("threads"))
    processes = provenance.get("processes", 1)
    if threads is not None:
        together = f", in each of {printable(processes, 20)} processes" if processes != 1 else ""
        yield "threads", f"{printable(threads, 20)}{together}"
    if data:
        shape = data.get("shape")
        size = " x ".join(map(str, shape)) if isinstance(shape, list) else shape
        rows = f"{printable(data.get('rows'), 20)} rows of {printable(size, 40)}"
        yield "data", f"{rows}, SHA-256 {_short(data.get('fingerprint'))}"
        split = data.get("split")
        parts = ", ".join(f"{n} {c}" for n, c in split.items()) if isinstance(split, Mapping) else split
        yield "split", f"{printable(parts, 60)}, SHA-256 {_short(data.get('split_fingerprint'))}"
    if "seed" in provenance:
        yield "seed", printable(provenance["seed"], 20)
    resumed = provenance.get("resumed")
    if isinstance(resumed, list) and resumed:
        steps = [str(entry.get("step")) for entry in resumed if isinstance(entry, Mapping)]
        yield "resumed", f"{len(resumed)} time(s), at step {printable(', '.join(steps), 60)}"


def _short(digest: Any) -> str:
    return printable(str(digest)[:12])


def _code(repository: Any) -> str:
    if not isinstance(repository, Mapping):
        return "not in git"
    text = f"commit {_short(repository.get('commit'))}"
    untracked = repository.get("untracked")
    for what, names in (
        ("changed", list(changed_files(repository.get("diff")))),
        ("untracked", untracked if isinstance(untracked, list) else []),
    ):
        if names:
            text += f"; {len(names)} {what}: {printable(', '.join(map(str, names)), 100)}"
    if why := repository.get("left_out"):
        text += f"; changes not recorded: {printable(why, 100)}"
    return text


def _hardware(hardware: Mapping[str, Any]) -> str:
    gpus = hardware.get("gpus")
    parts = [
        printable(hardware.get("processor"), 60),
        f"{printable(hardware.get('cores'), 20)} cores",
        *([printable(hardware["cpu_capability"], 20)] if "cpu_capability" in hardware else []),
        printable(", ".join(map(str, gpus)), 80) if isinstance(gpus, list) and gpus else "no GPU",
        printable(hardware.get("system"), 80),
    ]
    return ", ".join(parts)
