"""Memory: training on files that are larger than the memory it may take."""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cgroup import Group, limited
from images import PIXELS, write_floats, write_images
from report import Report, bullets
from settings import Settings
from turns import Answer, Worker, WorkerFailed
from watch import Sample, Watch

GB = 10**9
LIMIT = 2 * GB
FLAT = 1.05  # times as much memory in the last third of training as in the first


class File(NamedTuple):
    """A file to train on.

    Attributes:
        data: the choice that reads it.
        contestant: its class in `contestants.streams`.
        write: writes it.
        suffix: of its name.
        values: the type of a pixel.
        width: bytes of a pixel.
        copies: on the disk.
    """

    data: str
    contestant: str
    write: Callable[[Path, int], Path]
    suffix: str
    values: str
    width: int
    copies: int


NPY = File("arrays", "Streamed", write_images, ".npy", "bytes", width=1, copies=1)
# a table is converted once, into the cache
PARQUET = File("table", "StreamedTable", write_floats, ".parquet", "float32", width=4, copies=2)


def measure(options: argparse.Namespace, report: Report) -> None:
    """Write the files, train on them, and report."""
    for kind in (NPY, PARQUET):
        _measure(kind, options, report)


def _measure(kind: File, options: argparse.Namespace, report: Report) -> None:
    title = f"Memory: {options.stream_gb:g} GB of {kind.suffix} from the disk"
    if not Path("/proc/self/status").exists():
        report.add(title, "Left out: only Linux tells how much memory a process has.")
        return
    rows = int(options.stream_gb * GB) // (PIXELS * kind.width)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < 1.1 * kind.copies * options.stream_gb * GB:
        said = f"{tempfile.gettempdir()} has {free / GB:.1f} GB free, too little for {options.stream_gb:g} GB"
        report.add(title, report.complain(f"memory: {said}; set TMPDIR, or --stream-gb"))
        return
    print(f"\nmemory: writing {kind.suffix}, {options.stream_gb:g} GB", flush=True)
    with tempfile.TemporaryDirectory() as folder, limited(LIMIT) as group:
        settings = Settings(
            file=str(kind.write(Path(folder) / f"images{kind.suffix}", rows)),
            warm_epochs=0,
            threads=options.threads,
            overrides=(f"trainer.max_steps={options.stream_steps}",) if options.stream_steps else (),
        )
        try:
            answer, samples = _train(f"contestants.streams:{kind.contestant}", settings, group)
        except (WorkerFailed, subprocess.SubprocessError) as failure:
            report.add(title, report.complain(f"memory: training failed: {failure}"))
            return
        peak = _peak(group)
    report.add(
        title,
        f"`isthmus train data={kind.data} data.in_memory=false` on {rows:,} rows of {PIXELS} {kind.values}, "
        f"{kind.suffix}, textbook network, {answer['images']:,} images trained on, "
        f"{answer['images'] / answer['seconds']:,.0f} images/s.",
        bullets([*_judged(answer, samples, report), peak]),
    )


def _train(where: str, settings: Settings, group: Group | None) -> tuple[Answer, list[Sample]]:
    """One turn in a process of its own, watched from its beginning."""
    worker = Worker(where, settings, before=group.join if group else None)
    watch = Watch(worker.process.pid)
    watch.start()
    try:
        worker.read()
        answer = worker.turn(1)
    finally:
        samples = watch.stop()
        worker.close()
    return answer, samples


def _peak(group: Group | None) -> str:
    """What held the memory down, and what it counted."""
    limit = f"{LIMIT / GB:g} GB"
    if group is None:
        return f"no control group could be made here: nothing enforced {limit}, /proc was watched"
    try:
        most = int((group.folder / group.peak).read_text(encoding="ascii"))
        peak = f"; its peak with the pages of files: {most / GB:.2f} GB"
    except OSError:  # before Linux 5.19
        peak = ""
    return f"a control group enforced {limit} ({group.limit}){peak}"


def _judged(answer: Answer, samples: list[Sample], report: Report) -> list[str]:
    """The peaks against the limit, and the end of training against its beginning."""
    resident = max(sample.resident for sample in samples)
    anonymous = max(sample.anonymous for sample in samples)
    own = max(sample.own for sample in samples)
    fits = own <= LIMIT
    training = [s.own for s in samples if answer["began"] <= s.at <= answer["ended"]]
    third = len(training) // 3
    if not third:
        return [report.complain("memory: training was over before it could be watched; raise --stream-steps")]
    first, last = (statistics.median(part) for part in (training[:third], training[-third:]))
    flat = last <= FLAT * first
    if not fits:
        report.complain(f"memory: {own / GB:.2f} GB are more than {LIMIT / GB:g} GB")
    if not flat:
        report.complain(f"memory: grows from {first / GB:.2f} to {last / GB:.2f} GB in training")
    return [
        f"peak of the memory that all its processes need (Pss_Anon): {own / GB:.2f} GB, "
        f"{'under' if fits else 'OVER'} the limit of {LIMIT / GB:g} GB",
        f"in the first third of training {first / GB:.2f} GB, in the last {last / GB:.2f} GB: "
        f"{'flat' if flat else 'it GROWS'} ({len(training)} looks at it)",
        f"peak RssAnon, in which what processes share counts for each: {anonymous / GB:.2f} GB; "
        f"peak VmRSS, with the pages of files that could be dropped: {resident / GB:.2f} GB",
    ]
