"""What several tests of commands type, and how they read the line of an error."""

from __future__ import annotations

SHORT = (
    *("trainer.max_epochs=1", "trainer.threads=1", "latent.dim=2", "optimizer.lr=0.01"),
    "callbacks.figures.summary=false",
)


def refused(said):
    assert said.code == 2
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line
