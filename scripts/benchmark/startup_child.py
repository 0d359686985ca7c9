"""Prints the seconds since the parent started this process, and ends.

BENCHMARK_BEGAN=1700000000.0 python scripts/benchmark/startup_child.py isthmus

Or with isthmus_without_gc_pause, or imports.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULE = "isthmus.training.module"


def tell(*_: Any) -> None:
    """Print how long it took, and leave at once."""
    print(f"elapsed {time.time() - float(os.environ['BENCHMARK_BEGAN']):.4f}", flush=True)
    os._exit(0)


class FirstStep(MetaPathFinder):
    """Puts `tell` in the place of the training step when its module is imported, and no sooner."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def patched(module: ModuleType) -> None:
            execute(module)
            module.AutoencoderModule.training_step = tell  # type: ignore[attr-defined]

        spec.loader.exec_module = patched  # type: ignore[method-assign]
        return spec


def main(what: str) -> None:
    if what.startswith("isthmus"):
        sys.meta_path.insert(0, FirstStep())
        from isthmus.cli.main import gc_pause
        from isthmus.cli.main import main as command

        if what == "isthmus_without_gc_pause":
            gc_pause.postponed = nullcontext  # type: ignore[assignment]

        sys.exit(command(["train", "data=digits", "trainer.accelerator=cpu"]))
    import pytorch_lightning  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401

    tell()


if __name__ == "__main__":
    main(sys.argv[1])
