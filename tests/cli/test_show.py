"""`isthmus show`: a run in one page, whatever became of it, and safe to look at."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from isthmus.cli.tables import aligned, printable
from isthmus.runs.folder.migrations import FORMAT

V1 = Path(__file__).parents[1] / "fixtures" / "run_v1"
HEAVY = {"torch", "pytorch_lightning", "numpy", "tensorboard", "safetensors"}
ESCAPE = "\x1b[31mred\x1b]0;title\x07\u202eback\r\n"


@pytest.fixture
def run(tmp_path):
    """A run of an older isthmus, to change, that passes for one of today."""
    copy = Path(shutil.copytree(V1, tmp_path / "run"))
    edit(copy / "status.json", format=FORMAT)
    return copy


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def row(printed, first):
    """The cells of the line that begins with `first`."""
    (line,) = [line for line in printed.splitlines() if line.split("  ")[0] == first]
    return [cell.strip() for cell in line.split("  ")[1:] if cell.strip()]


def test_it_imports_nothing_heavy(run, importing):
    modules = {name.partition(".")[0] for name in importing("show", str(run))[1]}
    assert "omegaconf" in modules
    assert not modules & HEAVY


def test_a_run_that_is_done(here, run):
    said = here("show", "run")
    assert (said.code, said.err) == (0, "")
    recorded = json.loads((run / "provenance.json").read_text())
    status = json.loads((run / "status.json").read_text())
    assert said.out.startswith(f"run\ndone after 1 epoch and 50 steps, {status['time']}\n")
    assert "next: isthmus evaluate run\nnext: isthmus reproduce run\n" in said.out
    assert row(said.out, "command") == [recorded["command"]]
    assert "model=vae loss=bce architecture.hidden=[8]" in row(said.out, "overrides")[0]
    assert row(said.out, "code") == [f"commit {recorded['code']['isthmus']['commit'][:12]}"]
    assert f"torch {recorded['packages']['torch']}, " in row(said.out, "packages")[0]
    assert recorded["hardware"]["processor"] in row(said.out, "hardware")[0]
    assert row(said.out, "threads") == ["1"]
    assert row(said.out, "seed") == ["0"]
    assert row(said.out, "data") == [
        f"1797 rows of 1 x 8 x 8, SHA-256 {recorded['data']['fingerprint'][:12]}"
    ]
    assert row(said.out, "split")[0].startswith("train 1597, val 100, test 100")
    results = json.loads((run / "results.json").read_text())
    assert row(said.out, "mse") == [f"{results[f'{stage}/mse']:.6g}" for stage in ("val", "test")]
    assert row(said.out, "checkpoints/best.ckpt")
    assert row(said.out, "latents/ (2 files)")


def test_of_the_config_what_differs_from_the_defaults(here, run):
    out = here("show", "run").out
    assert row(out, "latent.dim") == ["16", "2"]
    assert row(out, "latent._target_") == ["Plain", "Gaussian"]
    assert row(out, "noise._target_")[1] == "Gaussian"
    assert "noise.std" not in out, "it has the default of the choice"
    assert row(out, "architecture.hidden")[1] == "[8]"
    assert "data.eval_batch_size" not in out
    assert "optimizer." not in out


def test_json_is_everything(here, run):
    shown = json.loads(here("show", "run", "--json").out)
    assert shown["provenance"] == json.loads((run / "provenance.json").read_text())
    assert shown["results"] == json.loads((run / "results.json").read_text())
    assert shown["config"]["latent.dim"] == {"default": 16, "here": 2}
    assert {name: (run / name).stat().st_size for name in shown["files"]} == shown["files"]
    assert "checkpoints/last.ckpt" in shown["files"]


GONE = 2**22 + 1  # no process has it


@pytest.mark.parametrize(
    ("status", "said_of_it"),
    [
        (
            {"status": "failed", "error": "loss is nan\nat step 3"},
            "error: loss is nan\nnext: isthmus resume run",
        ),
        ({"status": "stopped"}, "stopped after 1 epoch and 50 steps"),
        ({"status": "running", "pid": GONE, "host": os.uname().nodename}, f"its process {GONE} on "),
        (
            {"status": "running", "pid": os.getpid(), "host": os.uname().nodename},
            f"by process {os.getpid()} on ",
        ),
    ],
    ids=["failed", "stopped", "killed", "running"],
)
def test_a_run_that_is_not_done(status, said_of_it, here, run):
    edit(run / "status.json", **status)
    (run / "results.json").unlink()
    said = here("show", "run")
    assert said.code == 0
    assert said_of_it in said.out
    assert ("isthmus resume run" in said.out) is (status.get("pid") != os.getpid())
    assert "latest metrics" in said.out
    assert row(said.out, "loss") == ["44.545", "43.4604", "43.4829"]


def test_an_old_run_that_cannot_be_resumed(here, run):
    edit(run / "status.json", status="stopped", format=1)
    said = here("show", "run").out
    assert "isthmus resume" not in said
    assert "next: isthmus evaluate run\n" in said


@pytest.mark.parametrize("kept", [(), ("provenance.json",), ("overrides.yaml", "metrics.csv")])
def test_a_run_that_just_began(kept, here, run):
    for path in run.iterdir():
        if path.name not in ("config.yaml", "status.json", *kept):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    edit(run / "status.json", status="running", pid=os.getpid())
    said = here("show", "run")
    assert (said.code, said.err) == (0, "")
    assert row(said.out, "latent.dim") == ["16", "2"]
    assert json.loads(here("show", "run", "--json").out)["results"] == {}


def test_a_run_that_was_resumed(here, run):
    edit(run / "provenance.json", resumed=[{"step": 20}, {"step": 40}], threads=3, processes=2)
    out = here("show", "run").out
    assert row(out, "resumed") == ["2 time(s), at step 20, 40"]
    assert row(out, "threads") == ["3, in each of 2 processes"]


def test_files_that_were_changed_are_named_and_their_content_is_not(here, run):
    code = {"commit": "c" * 40, "untracked": ["new.py"], "diff": "diff --git a/x.py b/x.py\n+secret\n"}
    edit(run / "provenance.json", code={"isthmus": code, "working_directory": code})
    out = here("show", "run").out
    assert row(out, "code") == ["commit cccccccccccc; 1 changed: x.py; 1 untracked: new.py"]
    assert "secret" not in out
    assert "code here" not in out


def test_a_terminal_is_safe_from_what_a_stranger_wrote(here, run):
    dirty = {ESCAPE: ESCAPE}
    edit(run / "results.json", **{f"test/{ESCAPE}": 1.0})
    edit(run / "status.json", status="failed", error=ESCAPE, time=ESCAPE, step=ESCAPE, host=ESCAPE)
    edit(
        run / "provenance.json",
        command=ESCAPE,
        experiment=ESCAPE,
        code={ESCAPE: {"commit": ESCAPE, "untracked": [ESCAPE], "diff": f"diff --git a/x b/{ESCAPE}"}},
        packages={"torch": ESCAPE},
        hardware={"processor": ESCAPE, "gpus": [ESCAPE], "cores": ESCAPE, "system": ESCAPE},
        data={"rows": ESCAPE, "shape": [ESCAPE], "fingerprint": ESCAPE, "split": dirty},
        resumed=[{"step": ESCAPE}],
        seed=ESCAPE,
        threads=ESCAPE,
    )
    (run / "overrides.yaml").write_text(json.dumps([ESCAPE]))
    (run / "config.yaml").write_text(f"{json.dumps(ESCAPE)}: {json.dumps(ESCAPE)}\n")
    (run / "checkpoints" / "\x1b[2J").touch()
    (run / "\x1b[2J").mkdir()
    (run / "\x1b[2J" / "inside").touch()
    said = here("show", "run")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("\\x1b[31mred") > 10
    assert all(c.isprintable() or c == "\n" for c in said.out)


@pytest.mark.parametrize("nonsense", [None, 1, "text", [1], {"a": None}])
def test_nonsense_is_shown_without_an_error(nonsense, here, run):
    keys = (
        "command",
        "code",
        "packages",
        "hardware",
        "data",
        "resumed",
        "threads",
        "processes",
        "experiment",
    )
    edit(run / "provenance.json", **dict.fromkeys(keys, nonsense))
    edit(run / "status.json", error=nonsense, step=nonsense, time=nonsense)
    assert here("show", "run").code == 0


def test_damage_elsewhere_hides_nothing(here, run):
    (run / "provenance.json").write_text("{")
    (run / "results.json").write_text("[]")
    (run / "metrics.csv").write_bytes(b"test/mse,step\n\xff,\n0.25,5\n\0,7\n")
    said = here("show", "run")
    assert said.code == 0
    assert row(said.out, "mse") == ["0.25"]


def test_links_are_not_followed(here, run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(b"1" * 10_000)
    (run / "link").symlink_to(tmp_path / "elsewhere" / "large")
    (run / "folder").symlink_to(tmp_path / "elsewhere")
    files = json.loads(here("show", "run", "--json").out)["files"]
    assert files["link"] < 1000
    assert not [name for name in files if name.startswith("folder/")]


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_run_is_refused(name, here, run):
    said = here("show", name)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"isthmus: RUN={name}: ")


def test_printable():
    assert printable("a b é 日本") == "a b é 日本"
    assert printable("a\x1b\n\x9b\u202e\udc80") == "a\\x1b\\n\\x9b\\u202e\\udc80"
    assert printable("x" * 10, 6) == "xxx..."


def test_aligned():
    assert aligned([("a", "1"), ("bb", "22")], right=(1,)) == "a    1\nbb  22"


def test_a_whole_number_that_no_float_can_hold(here, run):
    edit(run / "results.json", **{"test/mse": 10**400, "val/mse": -(10**400)})
    said = here("show", "run")
    assert (said.code, row(said.out, "mse")[-2:]) == (0, ["-inf", "inf"])


def test_what_was_typed_is_cut_where_it_is_long(here, run):
    (run / "overrides.yaml").write_text(f"- latent.dim=2\n- a={'x' * 100_000}\n")
    edit(run / "provenance.json", command="y" * 100_000)
    said = here("show", "run")
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) < 4_100
    assert len(json.loads(here("show", "run", "--json").out)["typed"][1]) > 100_000


def test_json_has_no_infinities(here, run):
    (run / "results.json").write_text('{"test/mse": 1e400, "test/mae": NaN}')
    shown = json.loads(here("show", "run", "--json").out)
    assert shown["results"] == {"test/mse": None, "test/mae": None}
