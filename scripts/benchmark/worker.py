"""The process of one contestant: makes it, warms it up, then answers each line on stdin with one of JSON.

python scripts/benchmark/worker.py contestants.loops:Resident '{"case": "digits", ...}'
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from settings import Settings


def main(where: str, settings: Settings) -> None:
    # what contestants print goes where errors go, so that the answers are alone on stdout
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")

    try:
        work(where, settings, answer)
    except Exception as error:
        # a progress bar may be the last thing on stderr
        answer(error=" ".join(f"{type(error).__name__}: {error}".split()))
        raise


def work(where: str, settings: Settings, answer: Callable[..., None]) -> None:
    """Be a contestant until there are no more turns."""
    pin(settings)
    if settings.rows:
        from examples import shrink

        shrink(settings.rows)
    module, _, name = where.partition(":")
    contestant = getattr(importlib.import_module(module), name)(settings)
    began = time.perf_counter()
    if settings.warm_epochs:
        contestant.turn(seed=0, epochs=settings.warm_epochs)
    answer(warm_seconds=time.perf_counter() - began, **roofline(settings))
    for line in sys.stdin:
        gc.collect()
        turn = contestant.turn(seed=int(line), epochs=settings.epochs)
        answer(**asdict(turn), peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def pin(settings: Settings) -> None:
    """Keep to as many cores as there are threads: JAX has a thread for each core it may use."""
    if settings.device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the others are on the same GPU
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: settings.cores or settings.threads])


def roofline(settings: Settings) -> dict[str, float]:
    """What the work takes and what the device can do, where that is a GPU; see `roofline.py`."""
    if settings.device != "cuda" or not settings.case:
        return {}
    from cases import CASES
    from roofline import flops_per_image, peak_flops

    return {"flops_per_image": flops_per_image(CASES[settings.case]), "peak_flops": peak_flops()}


if __name__ == "__main__":
    main(sys.argv[1], Settings.load(sys.argv[2]))
