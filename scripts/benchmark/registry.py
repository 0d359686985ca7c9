"""Who trains."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from cases import CASES

REFERENCE = "resident"
TOLERANCE = 0.10  # of the reference's test mse


@dataclass(frozen=True)
class Entry:
    """A contestant in training.

    Attributes:
        where: module:class.
        what: in the report.
        needs: a package that may not be installed.
        cases: that it knows.
        gpu: whether it trains on a GPU here.
        excuse: why its test mse may differ from the reference's by more than the tolerance.
    """

    where: str
    what: str
    needs: str = "torch"
    cases: tuple[str, ...] = tuple(CASES)
    gpu: bool = True
    excuse: str = ""

    @property
    def installed(self) -> bool:
        return find_spec(self.needs) is not None


CONTESTANTS = {
    "dataloader": Entry("contestants.loops:OverDataLoader", "textbook loop over a DataLoader, Adam"),
    REFERENCE: Entry(
        "contestants.loops:Resident", "loop over one tensor in memory, fused Adam, nothing logged"
    ),
    "jax": Entry("contestants.jax_scan:JaxScan", "compiled scan over the epoch, data resident", needs="jax"),
    "pythae": Entry(
        "contestants.pythae_ae:Pythae", "AE, BaseTrainer", needs="pythae", cases=("textbook",), gpu=False
    ),
    "pyod": Entry(
        "contestants.pyod_ae:PyOD",
        "AutoEncoder, without its preprocessing and scores",
        needs="pyod",
        cases=("textbook",),
        gpu=False,
        excuse="its network has a ReLU on the code and no sigmoid at the end, and begins with other weights",
    ),
    "lightning": Entry(
        "contestants.lightning_default:Lightning",
        "plain LightningModule over a DataLoader, TensorBoard, CSV, bar, checkpoints",
    ),
    "isthmus": Entry(
        "contestants.isthmus_run:Isthmus",
        "`isthmus train`, TensorBoard, CSV, bar, checkpoints, latents, figures",
    ),
    "isthmus_compiled": Entry("contestants.isthmus_run:Compiled", "the same, `trainer.compile=true`"),
}
