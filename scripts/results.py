"""The results table: what `experiment=` files reach, over several seeds, beside references and goals.

    python scripts/results.py --seeds 0 1 2 one_class

Trains each experiment once per seed (and class) into a folder that is kept, so that an interrupted call goes
on where it was, and prints one line of a Markdown table for each. References are those of the literature, or
were computed with scikit-learn on the same data.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from functools import partial
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
    """The run with these overrides, trained unless it is done already.

    Raises:
        SystemExit: the folder has a run with other settings.
    """
    from omegaconf import OmegaConf

    from isthmus.runs.config.compose import compose
    from isthmus.runs.folder.run_folder import RunFolder
    from isthmus.runs.train import train

    quick = ("logger=csv", "callbacks.figures.enabled=false", "callbacks.projector.enabled=false")
    config = compose([*overrides, *quick, "trainer.progress_bar=none"])
    if not (folder / "results.json").exists():
        train(config, folder)
    elif OmegaConf.load(folder / "config.yaml") != config:
        raise SystemExit(f"{folder} was trained with other settings; remove it, or choose another --folder")
    return RunFolder.open(folder).path


def one_class(base: Path, seed: int) -> float:
    """Mean area under the ROC curve, each class in turn being the normal one; all test images are scored."""
    import isthmus
    from isthmus.tasks.inputs.run_data import open_run_data, test_examples
    from isthmus.tasks.scoring.ranking import normal_classes, rankings

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
    run = trained(base / f"denoising_{seed}", "experiment=fashion_denoising", f"seed={seed}")
    found = float(json.loads((run / "results.json").read_text())["test/psnr"])
    print(f"  seed {seed}: {found:.2f}", flush=True)
    return found


def tables(base: Path, seed: int) -> float:
    """Mean area under the ROC curve, each class of each table in turn being the normal one."""
    from table_scores import OURS, areas, printed

    print(f"  seed {seed}:", flush=True)
    found = areas(base, seed, trained)
    printed(found)
    return float(np.mean(np.concatenate([each[OURS] for each in found.values()])))


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


# Small codes ask for more layers and epochs.
SMALL_CODES = {
    2: ("architecture.hidden=[512,256,128,64]", "trainer.max_epochs=40"),
    10: ("architecture.hidden=[2048,512,256]", "trainer.max_epochs=20"),
}


def reconstruction(base: Path, seed: int, size: int) -> Path:
    """The run with a code of this size."""
    overrides = ("experiment=fashion_reconstruction", f"latent.dim={size}", f"seed={seed}")
    return trained(base / f"reconstruction_{size}_{seed}", *overrides, *SMALL_CODES.get(size, ()))


def test_error(base: Path, seed: int, size: int) -> float:
    """Mean squared error per pixel of test images."""
    found = float(json.loads((reconstruction(base, seed, size) / "results.json").read_text())["test/mse"])
    print(f"  seed {seed}: {found:.5f}", flush=True)
    return found


def knn(base: Path, seed: int) -> float:
    """Accuracy of five nearest neighbours among the codes of the 60,000 train images, on the test images."""
    from sklearn.neighbors import KNeighborsClassifier

    import isthmus
    from isthmus.data.fashion_mnist import FashionMNIST

    model, data = isthmus.load(reconstruction(base, seed, 32)), FashionMNIST(root=None)
    images, labels = data.values.numpy(), data.labels.numpy()
    codes = model.encode(images / np.float32(255))
    count = len(labels) - len(data.test_rows)
    found = KNeighborsClassifier(5).fit(codes[:count], labels[:count]).score(codes[count:], labels[count:])
    print(f"  seed {seed}: {found:.4f}", flush=True)
    return float(found)


RESULTS = {
    **{
        f"reconstruction_{size}": Result(
            f"Fashion-MNIST, code of {size} numbers, test mse per pixel",
            reference,
            goal,
            partial(test_error, size=size),
        )
        for size, reference, goal in (
            (2, "PCA .0461, MLP autoencoder .0238", ".0225"),
            (10, "PCA .0244, MLP autoencoder .0104", ".0095"),
            (32, "PCA .0151, MLP autoencoder .0074", ".0066"),
            (64, "PCA .0104, MLP autoencoder .0054", ".0046"),
        )
    },
    "knn_32": Result(
        "accuracy of 5 nearest neighbours on codes of 32 numbers",
        "PCA .859, MLP autoencoder .867",
        ".875",
        knn,
    ),
    "one_class": Result(
        "one class of Fashion-MNIST normal, mean AUROC of ten",
        "PCA .905, autoencoder .911, isolation forest .917, one-class SVM .928, GeoTrans .935",
        ".928",
        one_class,
    ),
    "tables": Result(
        "one class of iris, wine, breast_cancer or digits normal, mean AUROC of 18",
        "with scikit-learn's defaults: see what is printed for each data set",
        "the best of these",
        tables,
    ),
    "denoising": Result(
        "Fashion-MNIST with noise of standard deviation 0.5, PSNR in dB",
        "noisy 9.30, wavelet 12.64, NLM 14.48, TV 15.77, BM3D 16.51, linear 17.39, MLP autoencoder 18.84",
        "19.5",
        denoising,
    ),
    "generation": Result(
        "VAE on Fashion-MNIST: share of the Fréchet distance of prior samples that a mixture or flow saves",
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
        spread = f" ± {np.std(found, ddof=1):.2g}" if len(found) > 1 else ""
        reached = f"{np.mean(found):.4g}{spread} ({len(found)})"
        lines.append(f"| {result.what} | {result.reference} | {result.goal} | {reached} | {minutes:.0f} |")
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}\n")
    print("| what | references | goal | isthmus: mean ± standard deviation (seeds) | minutes |")
    print("|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
