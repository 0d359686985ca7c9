"""Write the golden losses anew: `python tests/golden/regenerate.py`.

Run it when a change is meant to change the numbers, look at the difference, and commit it together with
the change. A refactor must not need it.
"""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

from isthmus.runs.config.compose import compose
from isthmus.runs.train import train

FOLDER = Path(__file__).parent
PRESETS = ("ae", "dae", "sparse_ae", "vae", "beta_vae")
STEPS = 20


def losses(model: str, folder: Path) -> list[float]:
    """The first losses of a preset on digits with seed 0, from the metrics of a real run."""
    cfg = compose(
        [
            *(f"model={model}", "data=digits", "seed=0", "trainer=cpu", "logger=csv"),
            *(f"trainer.max_steps={STEPS}", "trainer.log_every_n_steps=1", "trainer.progress_bar=none"),
            *(f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector")),
            "trainer.threads=1",
        ]
    )
    run = train(cfg, folder)
    rows = csv.DictReader(run.metrics.read_text(encoding="utf-8").splitlines())
    return [float(row["train/loss_step"]) for row in rows if row["train/loss_step"]]


def main() -> None:
    """Write one file for each preset."""
    with tempfile.TemporaryDirectory() as folder:
        for model in PRESETS:
            path = FOLDER / f"{model}.json"
            path.write_text(
                json.dumps(losses(model, Path(folder) / model), indent=1) + "\n", encoding="utf-8"
            )
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
