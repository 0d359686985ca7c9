"""Whether a run that was interrupted left what an uninterrupted one leaves, to the bit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event

from isthmus.runs.folder.run_folder import RunFolder

from .whole import records

ALL = {"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}  # 0: every point of a curve
# what tells of the run itself and not of its result
OF_THE_RUN = ("status.json", "provenance.json", "overrides.yaml", ".lock")


def check_same(run: Path, reference: Path) -> None:
    """Assert that a run that is done has the files of the reference, and the same in them."""
    status = RunFolder.open(run).read_status()
    assert status["status"] == "done", status
    differing = list(differences(run, reference))
    assert not differing, "\n".join(differing)


def differences(run: Path, reference: Path) -> Iterator[str]:
    """What differs, a line for each."""
    names, expected = files(run), files(reference)
    yield from (f"{name} is not there" for name in sorted(expected - names))
    yield from (f"{name} is not in the reference" for name in sorted(names - expected))
    for name in sorted(names & expected):
        if name.endswith(".ckpt"):
            one, other = checkpoint(run / name), checkpoint(reference / name)
            differing = [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
            yield from (f"{name}: {key}" for key in differing)
        elif (run / name).read_bytes() != (reference / name).read_bytes():
            yield f"{name} has other bytes"
    for read in (accumulated, written):
        yield from differing_curves(read(run), read(reference), read.__name__)


def files(run: Path) -> set[str]:
    """The files that two runs of one config have in common."""
    paths = [path for path in run.rglob("*") if path.is_file() and "tfevents" not in path.name]
    return {str(path.relative_to(run)) for path in paths if path.name not in OF_THE_RUN}


def checkpoint(path: Path) -> dict[str, Any]:
    """Every value in a checkpoint by its place in it, but for how long the log files were, and how often
    Lightning called its loops.
    """
    content = torch.load(path, weights_only=True)
    del content["logs"], content["loops"]
    return flat(content)


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """The values of nested dicts and lists by their place; tensors as their bytes."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, item in items for k, v in flat(item, f"{place}.{key}").items()}
    if isinstance(value, torch.Tensor):
        return {place: (value.dtype, tuple(value.shape), value.numpy().tobytes())}
    return {place: value}


Curves = dict[str, list[tuple[int, Any]]]


def accumulated(run: Path) -> Curves:
    """Each curve and the steps of each picture, as TensorBoard shows them."""
    events = EventAccumulator(str(run), size_guidance=ALL)
    events.Reload()
    tags = events.Tags()
    curves = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
    pictures = {tag: [(e.step, e.encoded_image_string) for e in events.Images(tag)] for tag in tags["images"]}
    return {**curves, **pictures}


def written(run: Path) -> Curves:
    """The same as it is in the files, whatever TensorBoard would leave out."""
    curves: Curves = defaultdict(list)
    for path in sorted(run.glob("events.out.tfevents.*")):
        for record in records(path):
            event = Event.FromString(record or b"")
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    curves[value.tag].append((event.step, value.simple_value))
                elif value.HasField("image"):
                    curves[value.tag].append((event.step, value.image.encoded_image_string))
    return dict(curves)


def differing_curves(curves: Curves, expected: Curves, how: str) -> Iterator[str]:
    for tag in sorted(curves.keys() | expected.keys()):
        points, wanted = curves.get(tag, []), expected.get(tag, [])
        steps = [step for step, _ in points]
        if len(set(steps)) < len(steps):
            yield f"{tag} ({how}) has steps twice: {sorted(s for s in set(steps) if steps.count(s) > 1)}"
        if points != wanted:
            different = {step for step, _ in set(points) ^ set(wanted)}
            yield f"{tag} ({how}) differs at steps {sorted(different)} of {len(wanted)}"
