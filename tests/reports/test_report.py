"""`isthmus report`: the page says what the folder has, and nothing else is changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from isthmus.cli.main import main
from isthmus.reports.report import write_report
from isthmus.reports.sentence import sentence
from isthmus.runs.config.compose import conf_dir
from isthmus.runs.folder.untrusted import check_inside

from .conftest import FIXTURES
from .pages import Page, edit, fill, png

EVERYTHING = [
    *("Results", "Training", "Reconstructions", "Codes", "Anomalies", "Denoising", "Samples"),
    *("Other figures", "Configuration", "Provenance"),
]


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    told = {path: path.lstat() for path in folder.rglob("*")}
    return {str(path): (stat.st_mtime_ns, stat.st_size) for path, stat in told.items() if path.is_file()}


@pytest.mark.parametrize("version", [1, 4])
def test_a_run_as_it_is(version, tmp_path):
    run = Path(shutil.copytree(FIXTURES / f"run_v{version}", tmp_path / "run"))
    before = state_of(run)
    done = write_report(run)
    page = Page(done.path)
    page.check_alone()
    assert page.headings() == done.sections
    assert done.sections == ["Results", "Training", "Reconstructions", "Configuration", "Provenance"]
    after = state_of(run)
    assert after.pop(str(run / "report.html"))[1] == len(page.html.encode())
    assert after == before
    results = json.loads((run / "results.json").read_text())
    assert f"{results['test/mse']:.4g}" in page.text
    assert f"{results['parameters']:,}" in page.text
    grids = len(list((run / "figures").glob("*.png")))
    assert len(page.named("img")) == grids
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["data"]["fingerprint"][:12] in page.text
    assert provenance["packages"]["torch"] in page.text
    check_inside(run)


def test_what_differs_from_the_defaults_comes_first(run):
    page = Page(write_report(run).path)
    cells = [text for tag, text in page.texts if tag in ("th", "td")]
    at = cells.index("noise._target_")
    assert cells[at : at + 3] == ["noise._target_", "NoNoise", "Gaussian"]
    at = cells.index("latent.dim")
    assert cells[at : at + 3] == ["latent.dim", "16", "2"]
    (config,) = [text for tag, text in page.texts if tag == "pre" and "batch_size" in text]
    assert config == (run / "config.yaml").read_text().strip()


def test_everything(run, quick):
    fill(run)
    done = write_report(run)
    page = Page(done.path)
    page.check_alone()
    assert page.headings() == EVERYTHING
    assert done.missing == []
    alts = [str(each["alt"]) for each in page.named("img")]
    assert alts.count("my_own.png") == 1
    assert "Metrics of the epochs." not in alts  # which are drawn from metrics.csv
    assert sum(alt.startswith("Samples") for alt in alts) == 1  # of figures/ and of generate/, the latter
    for number in ("0.1234", "0.4321", "2 of 20", "pixel 19 (25%)", "20.12", "31.50", "2.5"):
        assert number in page.text, number
    for row in (19, 18, 12):
        assert f"s{row} " in page.text
    assert "s11 " not in page.text  # of the 8 rows with the highest scores


def test_causes_are_shown_of_images_and_named_of_tables(run, quick):
    fill(run)
    assert "caused by" in Page(write_report(run).path).text
    for ending in ("_roc", "_precision_recall", "_anomalies"):
        png(run / "detect" / f"test_scores{ending}.png")
    page = Page(write_report(run).path)
    page.check_alone()
    starts = ("Histogram of the scores", "ROC curve", "Precision", "The images with the highest scores")
    alts = [str(each["alt"]) for each in page.named("img")]
    at = alts.index(next(alt for alt in alts if alt.startswith(starts[0])))
    assert all(alt.startswith(start) for alt, start in zip(alts[at:], starts, strict=False))
    assert "caused by" not in page.text
    assert "s19 " in page.text


def test_curves_of_figures_stand_in_for_metrics(run, quick):
    fill(run)
    (run / "metrics.csv").unlink()
    page = Page(write_report(run).path)
    assert not page.named("svg")
    assert "Metrics of the epochs." in [each["alt"] for each in page.named("img")]


def test_the_page_is_the_same_each_time(run, quick):
    fill(run)
    first = write_report(run).path.read_bytes()
    assert write_report(run).path.read_bytes() == first


@pytest.mark.parametrize("state", ["running", "stopped", "killed", "failed"])
def test_a_run_that_is_not_done(run, quick, state):
    for name in ("results.json", "figures"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    trace = "Traceback (most recent call last):\n  File x\nown.errors.ValueError: the reason"
    error = {"error": "the reason", "traceback": trace} if state == "failed" else {}
    edit(run / "status.json", status=state, pid=os.getpid(), host=os.uname().nodename, **error)
    page = Page(write_report(run).path)
    page.check_alone()
    assert ("span", state) in page.texts
    assert (("code", "ValueError: the reason") in page.texts) == (state == "failed")
    assert (("code", f"isthmus resume {run}") in page.texts) == (state != "running")
    assert "File x" not in page.text
    assert page.headings() == ["Results", "Training", "Configuration", "Provenance"]


def test_a_run_that_has_just_begun(run, quick):
    for path in list(run.iterdir()):
        if path.name not in ("config.yaml", "status.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = Page(write_report(run).path)
    page.check_alone()
    assert page.headings() == ["Configuration"]


@pytest.mark.parametrize(
    "damage", [b"epoch,step\n1,2,3\n", b"\xff\x00\n", b"", b"epoch,val/loss\nx,y\n1,z\n"]
)
def test_damaged_metrics(run, quick, damage):
    (run / "metrics.csv").write_bytes(damage)
    Page(write_report(run).path).check_alone()


def test_what_is_not_here_yet(run, quick, capsys, monkeypatch):
    (run / "model.isthmus").write_bytes(b"")
    monkeypatch.chdir(run.parent)
    assert main(["report", "run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("run/report.html: ")
    assert " kB, results, training, " in said
    page = Page(run / "report.html")
    for name in ("embed", "detect", "denoise", "generate"):
        assert f"isthmus {name} run" in page.text
        assert f"  isthmus {name} run " in said


GROUPS = ("data", "noise", "architecture", "latent", "loss", "regularizer")


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_in_the_sentence(group):
    """A sentence differs with each choice, and has the values of its keys in it."""
    files = [path for path in sorted((conf_dir() / group).glob("*.yaml")) if path.name[0] != "_"]
    choices = {path.stem: yaml.safe_load(path.read_text()) for path in files}
    texts = {name: said(**{group: config}) for name, config in choices.items()}
    assert len(set(texts.values())) == len(texts)
    for text in texts.values():
        assert not set("{}[]") & set(text)
        assert text[0].isupper()
        assert text.endswith(".")


def test_the_sentence():
    facts = {"data": {"rows": 1797, "shape": [1, 8, 8]}}
    data, latent = {"_target_": "isthmus.data.digits.Digits"}, {"_target_": "own.Sphere", "dim": 3}
    text = said(
        facts,
        data=data,
        noise={"_target_": "isthmus.core.noise.gaussian.Gaussian", "std": 0.3},
        architecture={"_target_": "isthmus.core.architectures.mlp.MLP", "hidden": [256, 64]},
        latent=latent,
        loss={"_target_": "own.Angle", "scale": 2.5},
        regularizer={"kl": {"weight": 4.0}, "own": {"weight": 1}},
    )
    assert text == (
        "1,797 images of 8 \u00d7 8 pixels from digits, with Gaussian noise of standard deviation 0.3 added, "
        "go through the encoder of an MLP with hidden widths 256, 64 into a Sphere code of 3 numbers "
        "(instead of 64), come back through the decoder, and are judged by Angle (scale 2.5) plus the KL "
        "divergence from the prior (weight 4) and own (weight 1)."
    )


def said(provenance=None, **config):
    return "".join(words.text for words in sentence(config, provenance or {}))


def test_output(run, quick, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "run", "--output", "page.html"]) == 0
    assert not (run / "report.html").exists()
    page = (tmp_path / "page.html").read_bytes()
    for arguments, says in (
        (["run", "-o", "page.html"], "--overwrite"),
        (["run", "-o", "nowhere/page.html"], "there is no folder nowhere"),
        (["run", "-o", "run"], "is a folder"),
        (["run", "-o", "page.txt"], "must end in .html"),
        (["run", "run"], "a report is of one run"),
        (["ran"], "there is no such folder"),
    ):
        capsys.readouterr()
        assert main(["report", *arguments]) == 2, arguments
        said = capsys.readouterr()
        assert said.out == ""
        assert says in said.err
        assert len(said.err.splitlines()) == 1
    assert (tmp_path / "page.html").read_bytes() == page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run"]
    assert main(["report", "run", "-o", "page.html", "--overwrite"]) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written(run, quick, capsys):
    run.chmod(0o500)
    assert main(["report", str(run)]) == 2
    run.chmod(0o700)
    assert "give another file with --output" in capsys.readouterr().err


def test_it_imports_nothing_heavy(run, importing):
    modules = {name.partition(".")[0] for name in importing("report", str(run))[1]}
    assert "jinja2" in modules
    assert not modules & {"torch", "pytorch_lightning", "numpy", "matplotlib", "PIL", "tensorboard"}
