"""What the parent tells a worker, and what a worker answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Protocol


@dataclass(frozen=True)
class Settings:
    """Of one worker.

    Attributes:
        case: name of a training case; for the other parts, unused.
        epochs: of a turn.
        warm_epochs: of the training that is thrown away before the first turn; 0 for none.
        rows: training rows to keep, to make trial runs short; 0 for all.
        threads: of the CPU.
        cores: that it keeps to; 0: as many as there are threads.
        device: cpu or cuda.
        file: an array of images to train on or encode, for the parts that need one.
        overrides: further ones for isthmus.
    """

    case: str = ""
    epochs: int = 1
    warm_epochs: int = 1
    rows: int = 0
    threads: int = 1
    cores: int = 0
    device: str = "cpu"
    file: str = ""
    overrides: tuple[str, ...] = ()

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Settings:
        fields = json.loads(text)
        return cls(**{**fields, "overrides": tuple(fields["overrides"])})


@dataclass(frozen=True)
class Turn:
    """What a contestant did.

    Attributes:
        seconds: that the work took.
        images: processed in them, each epoch counted.
        mse: of the reconstructions of the test set (or of what was encoded), per pixel.
        began: on the clock of time.time(), where that matters.
        ended: the same.
        cpu_seconds: that all threads of the process took, where that matters.
        recording: seconds of the recording of steps, where they are not counted in the others.
    """

    seconds: float
    images: int
    mse: float
    began: float = 0.0
    ended: float = 0.0
    cpu_seconds: float = 0.0
    recording: float = 0.0


class Contestant(Protocol):
    """Made once in a process of its own from `Settings`; imports and loading are not timed."""

    def turn(self, *, seed: int, epochs: int) -> Turn: ...
