"""The results table: what `experiment=` files reach, over several seeds, beside references and goals.

    python scripts/results.py --seeds 0 1 2 one_class

Trains each experiment once per seed (and class) into a folder that is kept, so that an interrupted call goes
on where it was, and prints one line of a Markdown table for each. References are those of the literature, or
were computed with scikit-learn on the same data.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


class Result(NamedTuple):
    """A line of the table.

    Attributes:
        what: is measured.
        reference: published or computed figures.
        goal: to reach.
        measure: takes a folder for runs and a seed; returns the figure.
    """

    what: str
    reference: str
    goal: str
    measure: Callable[[Path, int], float]


def trained(folder: Path, *overrides: str) -> Path:
    """The run with these overrides, trained unless it is done already."""
    from isthmus.runs.config.compose import compose
    from isthmus.runs.folder.run_folder import RunFolder
    from isthmus.runs.train import train

    if not (folder / "results.json").exists():
        quick = ("logger=csv", "callbacks.figures.enabled=false", "callbacks.projector.enabled=false")
        train(compose([*overrides, *quick, "trainer.progress_bar=none"]), folder)
    return RunFolder.open(folder).path


def one_class(base: Path, seed: int) -> float:
    """Mean area under the ROC curve, each class in turn being the normal one; all test images are scored."""
    import isthmus
    from isthmus.tasks.inputs.run_data import open_run_data, test_examples
    from isthmus.tasks.ranking import normal_classes, rankings

    areas = []
    for name in CLASSES:
        where = f"data.train_where=\"label == '{name}'\""
        folder = base / f"one_class_{CLASSES.index(name)}_{seed}"
        run = trained(folder, "experiment=fashion_one_class", where, f"seed={seed}")
        model = isthmus.load(run)
        examples = test_examples(open_run_data(run), model.accepted)
        scores = np.concatenate([part.score for part in model.judged(examples)])
        normal = normal_classes(examples, trained=model.trained_classes, given=None)
        (ranking,) = rankings(examples, scores, normal)
        areas.append(ranking.auroc)
    print(f"  seed {seed}: " + ", ".join(f"{area:.3f}" for area in areas), flush=True)
    return float(np.mean(areas))


def denoising(base: Path, seed: int) -> float:
    """PSNR of denoised test images, in dB; Gaussian noise of standard deviation 0.5, not clipped."""
    import json

    run = trained(base / f"denoising_{seed}", "experiment=fashion_denoising", f"seed={seed}")
    found = float(json.loads((run / "results.json").read_text())["test/psnr"])
    print(f"  seed {seed}: {found:.2f}", flush=True)
    return found


def generation(base: Path, seed: int) -> float:
    """By how much a Gaussian mixture over the codes, or a flow, is nearer to the test images than the prior.

    The share by which the smaller of the two Fréchet distances is below that of the prior; all are printed.
    """
    import isthmus
    from isthmus.tasks.sample_quality.measure import measure

    run = trained(base / f"generation_{seed}", "experiment=fashion_vae", f"seed={seed}")
    found = measure(isthmus.load(run, device="cpu"), run)
    print(f"  seed {seed}: classifier {found.accuracy:.3f}", flush=True)
    for name, each in found.sets.items():
        near = ", ".join(f"{what} {value:.3f}" for what, value in each.near._asdict().items())
        print(f"    {name}: {each.frechet:.3f}, {near}", flush=True)
    distances = {name: each.frechet for name, each in found.sets.items()}
    return 1 - min(distances["mixture"], distances.get("flow", np.inf)) / distances["prior"]


RESULTS = {
    "one_class": Result(
        "one class of Fashion-MNIST normal, mean AUROC of ten",
        "PCA .905, autoencoder .911, isolation forest .917, one-class SVM .928, GeoTrans .935",
        ".928",
        one_class,
    ),
    "denoising": Result(
        "Fashion-MNIST with noise of standard deviation 0.5, PSNR in dB",
        "noisy 9.30, wavelet 12.64, NLM 14.48, TV 15.77, BM3D 16.51, linear 17.39, MLP autoencoder 18.84",
        "19.5",
        denoising,
    ),
    "generation": Result(
        "VAE on Fashion-MNIST: how far the Fréchet distance falls from samples of the prior to those of "
        "a mixture or a flow over the codes",
        "0: the prior of the same VAE",
        ".30",
        generation,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(RESULTS), choices=[*RESULTS], metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("outputs/results"))
    arguments = parser.parse_args()
    lines = []
    for name in arguments.names:
        result, start = RESULTS[name], time.monotonic()
        print(f"{name}:", flush=True)
        found = [result.measure(arguments.folder, seed) for seed in arguments.seeds]
        minutes = (time.monotonic() - start) / 60
        spread = f" ± {np.std(found, ddof=1):.4f}" if len(found) > 1 else ""
        reached = f"{np.mean(found):.4f}{spread} ({len(found)})"
        lines.append(f"| {result.what} | {result.reference} | {result.goal} | {reached} | {minutes:.0f} |")
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}\n")
    print("| what | references | goal | isthmus: mean ± standard deviation (seeds) | minutes |")
    print("|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
