"""Files as people have them, trained on and tested with the commands."""

from __future__ import annotations

import json

import pytest

from tests.data.messy import MESSY, Comes
from tests.data.test_messy import typed

from .lines import SHORT, refused


@pytest.mark.slow
@pytest.mark.parametrize("name", MESSY)
def test_messy_files(name, here, tmp_path):
    messy = MESSY[name]
    messy.write(tmp_path / name)
    overrides = [f"data={messy.data}", f"data.path={name}", *typed("data", dict(messy.choices))]
    said = here("train", *overrides, *SHORT, "hydra.run.dir=run")
    if not isinstance(messy.outcome, Comes):
        _, says = messy.outcome
        line = refused(said)
        assert line.startswith("isthmus: data.")
        assert says in line
        assert not (tmp_path / "run").exists()
        return
    assert said.code == 0, said.err
    trained = json.loads((tmp_path / "run" / "results.json").read_text())
    again = json.loads(here("evaluate", "run", "--json").out)
    assert again["test/mse"] == trained["test/mse"]
    assert again["same_data"]
    assert not again["leaked"]
