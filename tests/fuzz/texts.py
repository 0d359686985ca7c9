"""Changes to the text files of a run folder."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from .change import Change, of
from .documents import NUMBERS, TEXTS, YAML, documents, edited
from .mutate import mutations


def config(run: Path) -> st.SearchStrategy[Change]:
    text = (run / "config.yaml").read_bytes()
    return of("config.yaml", documents(yaml.safe_load(text), YAML) | mutations(text))


def overrides(run: Path) -> st.SearchStrategy[Change]:
    text = (run / "overrides.yaml").read_bytes()
    return of("overrides.yaml", documents(yaml.safe_load(text), YAML) | mutations(text))


def status(run: Path) -> st.SearchStrategy[Change]:
    done = read(run / "status.json")
    gone = {**done, "status": "running", "pid": 2**22 + 1}
    failed = {**done, "status": "failed", "error": "loss is nan\nat step 3", "traceback": "..."}
    running = {**done, "status": "running", "pid": os.getpid()}
    others = st.one_of([documents(each) for each in (done, gone, failed, running)])
    return of("status.json", others | mutations(json.dumps(gone).encode()))


def provenance(run: Path) -> st.SearchStrategy[Change]:
    content = read(run / "provenance.json")
    code = {
        "commit": "c" * 40,
        "untracked": ["new.py"],
        "diff": "diff --git a/x.py b/x.py\n+x\n",
        "left_out": "",
    }
    resumed = [{"time": "now", "epoch": 1, "step": 5, "overrides": ["trainer.max_epochs=2"], "threads": 2}]
    content |= {"code": {"isthmus": code, "working_directory": dict(code)}, "resumed": resumed}
    return of("provenance.json", documents(content) | mutations(json.dumps(content).encode()))


def reproduction(run: Path) -> st.SearchStrategy[Change]:
    """Of a run that reproduces another one: what it says of that, and its verdict."""
    from isthmus.runs.comparison.original import reference
    from isthmus.runs.folder.run_folder import RunFolder

    named = reference(RunFolder(run), tolerance=0.02)
    texts = [
        str(run),
        f"{run}/",
        "/proc/self",
        "/dev",
        str(run / "status.json"),
        "relative",
        "/" + "x" * 5_000,
    ]
    records = documents(named) | st.sampled_from(texts).map(
        lambda text: json.dumps({**named, "run": text}).encode()
    )
    provenance = read(run / "provenance.json")
    verdict = mutations(b'{"verdict": "identical", "tolerance": 0.02}')

    def change(record: bytes, verdict: bytes | None) -> Change:
        text = json.dumps({**provenance, "reproduces": "HERE"}).encode().replace(b'"HERE"', record)
        return Change({"provenance.json": text, **({"reproduction.json": verdict} if verdict else {})})

    return st.builds(change, records, st.none() | verdict)


def results(run: Path) -> st.SearchStrategy[Change]:
    content = read(run / "results.json")
    return of("results.json", documents(content) | mutations(json.dumps(content).encode()))


def metrics(run: Path) -> st.SearchStrategy[Change]:
    text = (run / "metrics.csv").read_bytes()
    rows = [list(row) for row in csv.reader(text.decode().splitlines())]
    cells = st.sampled_from([*map(str, TEXTS), *(str(n) for n in NUMBERS if abs(n) != 10**400), ["a"], []])
    changed = edited(rows, cells, st.integers(0, 4)).map(as_csv)
    return of("metrics.csv", changed | mutations(text)).map(without_results)


def as_csv(rows: Any) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(row if isinstance(row, list) else [row] for row in rows)
    return file.getvalue().encode("utf-8", "surrogatepass")


def without_results(change: Change) -> Change:
    """So that the latest metrics are shown; evaluating and reproducing a run are tried by other targets."""
    return change._replace(becomes={"results.json": "missing"})


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
