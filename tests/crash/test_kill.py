"""Runs that are killed with SIGKILL, at random moments and while they write, and resumed to the same bits."""

from __future__ import annotations

import os
import random
import signal

import pytest

from isthmus.runs.config.compose import compose
from isthmus.runs.resume import resume
from isthmus.runs.train import train

from .configs import CONFIGS
from .kill import Moment, Pace, Reference, once, plan
from .victim import Victim

SEED = os.environ.get("KILL_SEED", "0")  # of the moments
KILLS = 3  # of one test
CHAINS = 2  # tests of one config


@pytest.mark.kill
@pytest.mark.parametrize("chain", range(CHAINS))
@pytest.mark.parametrize("config", CONFIGS)
def test_killed_again_and_again(config, chain, victim):
    draw = random.Random(f"{SEED} {config} {chain}")
    killed = victim(config)
    while killed.kills < KILLS:
        for moment in plan(draw, KILLS - killed.kills):
            killed.kill(moment)
    killed.finish()


@pytest.mark.slow
def test_killed_twice_and_stopped(typed, starting, tmp_path, record_property):
    """The short version, with the reference and the rest of the run trained in this process."""
    often = Pace(seconds=1, writes={"checkpoints": 100, "events": 100, "latents": 100})
    # long enough that a busy machine, which is slow to kill, does not train to the end in between
    overrides = [*typed("plain"), "trainer.max_epochs=60"]
    uninterrupted = train(compose(overrides), tmp_path / "reference")
    reference = Reference(overrides, uninterrupted.path, often)
    killed = Victim(
        reference, tmp_path, lambda *arguments: starting(*arguments, cwd=tmp_path), record_property
    )
    killed.kill(Moment("checkpoints", 0.5))
    killed.kill(Moment("events", 0.3))
    assert killed.kills == 2
    ended = killed.go_on(once(Moment("latents", 0.1), often, lambda process: process.terminate()))
    assert ended.code == 128 + signal.SIGTERM, ended.err
    killed.check("stopped")
    resume(killed.run)
    killed.compare()
