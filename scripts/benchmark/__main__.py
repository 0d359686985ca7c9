"""Time isthmus: training, encoding, streaming, memory and start-up, each beside what it is measured by, and
what each of its parts contributes.

    python scripts/benchmark
    python scripts/benchmark --only digits startup --turns 2 --epochs 5 --out /tmp/benchmarks.md
    python scripts/benchmark --only ablation steps --threads 1 --turns 7 --out /tmp/ablation.md

Leaves benchmarks.md and benchmarks.png. The exit status is 1 where a contestant failed or learned something
else than the others.
"""

from __future__ import annotations

import sys

import ablation
import encoding_speed
import memory
import scoring
import startup
import steps
import streaming
import torch
import training
from cases import CASES
from machine import heading
from options import PARTS, parse
from plot import draw
from registry import REFERENCE
from report import Report

from isthmus.common.errors import BadInput
from isthmus.data.fashion_mnist import FashionMNIST

OTHERS = {
    "encoding": encoding_speed,
    "scoring": scoring,
    "streaming": streaming,
    "memory": memory,
    "startup": startup,
    "ablation": ablation,
    "steps": steps,
}
WITHOUT_FASHION_MNIST = ("digits", "startup")


def main() -> int:
    options = parse()
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = [part for part in PARTS if part in (options.only or set(PARTS) - {"ablation", "steps"})]
    if not options.stream_gb:
        parts = [part for part in parts if part != "memory"]
    if set(parts).difference(WITHOUT_FASHION_MNIST):
        try:
            FashionMNIST(root=None)
        except BadInput as error:
            print(f"benchmark: Fashion-MNIST: {error}; without it: --only digits startup", file=sys.stderr)
            return 2
    report = Report(options.out, heading(options.threads, options.device))
    measured = {}
    for part in parts:
        if part in CASES:
            rounds = training.measure(CASES[part], options, report)
            if rounds.answers.get(REFERENCE):
                measured[part] = rounds
        else:
            OTHERS[part].measure(options, report)
        if part in CASES and measured:
            picture = options.out.with_suffix(".png")
            if draw(picture, measured):
                print(f"{picture} shows it", flush=True)
            else:
                print("no plot: matplotlib is not installed; pip install -c constraints.txt '.[benchmark]'")
    for complaint in report.complaints:
        print(f"benchmark: {complaint}", file=sys.stderr)
    return 1 if report.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
