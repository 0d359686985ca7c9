"""A report of a stranger's folder: its names and texts stay texts, and no file outside of it is shown."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shutil
import struct
import zlib
from pathlib import Path

import pytest
import yaml

from isthmus.cli.main import main
from isthmus.common.errors import BadInput
from isthmus.reports import report
from isthmus.reports.pictures import MOST_BYTES, SIGNATURE, picture
from isthmus.reports.report import write_report
from isthmus.runs import show

from ..reports.pages import Page, edit, fill, png

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}\x1b[31m\u202e`code`"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SHOWN = "alert(1)"


@pytest.fixture
def run(tmp_path):
    """A finished run of the newest format that fixtures have."""
    return Path(shutil.copytree(Path(__file__).parents[1] / "fixtures" / "run_v4", tmp_path / "run"))


@pytest.fixture
def quick(monkeypatch):
    """Composes no defaults."""
    monkeypatch.setattr(show, "against_defaults", lambda cfg: {})


def rename(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name.replace("/", "|")))


def test_texts(run, capsys, monkeypatch):
    """Every text that comes from the folder."""
    fill(run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["name"] = config["latent"]["dim"] = config["noise"]["std"] = config["data"]["path"] = EVIL
    config["regularizer"][EVIL] = {"_target_": f"own.{EVIL}", "weight": EVIL}
    config["loss"] = {"_target_": EVIL, "key" + EVIL: EVIL}
    config["architecture"]["channels"] = [EVIL, {}]
    config["data"][EVIL] = {EVIL: [EVIL]}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "overrides.yaml").write_text(yaml.safe_dump([EVIL, f"a={EVIL}"]))
    edit(run / "status.json", status="failed", error=EVIL, traceback=f"\n{EVIL}", epoch=EVIL, time=EVIL)
    provenance = dict.fromkeys(("experiment", "isthmus", "python", "seed", "threads", "command"), EVIL)
    provenance |= {"packages": {EVIL: EVIL, "torch": EVIL}, "hardware": {"gpus": [EVIL], "system": EVIL}}
    provenance |= {
        "code": {"isthmus": {"commit": EVIL, "diff": EVIL}, EVIL: {"diff": EVIL, "untracked": [EVIL]}}
    }
    provenance["data"] = {"rows": 3, "shape": [1, EVIL], "split": {EVIL: EVIL}, "fingerprint": EVIL}
    edit(run / "provenance.json", **provenance)
    edit(run / "results.json", **{f"test/{EVIL}": 1.5, "epoch": EVIL})
    metrics = [
        ["epoch", f"train/{EVIL}", f"val/{EVIL}"],
        ["1", "1", "nan"],
        ["2", "1e999", "-5"],
        ["3", EVIL, "7"],
    ]
    tables = {"metrics.csv": metrics}
    tables["detect/test_scores.csv"] = [
        *(["row", "name", "label", "score", "outlier", "cause_1", "share_1", EVIL], *[[EVIL] * 8] * 3),
    ]
    tables["denoise/test/denoising.csv"] = [["level", "method", "mse", "psnr"], [EVIL, EVIL, EVIL, "3"]]
    tables["generate/mixture/samples.csv"] = [[EVIL, "b"], [EVIL, "1"]]
    for name, rows in tables.items():
        with (run / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    quality = {"autoencoder": {"mse": 1, "knn": EVIL}, "pca": EVIL, "pca_components": EVIL, "remarks": [EVIL]}
    (run / "embed" / "own" / "quality.json").write_text(json.dumps(quality))
    rename(run / "figures" / "my_own.png", f"{EVIL}.png")
    rename(run / "generate" / "mixture", EVIL)
    png(run / "embed" / EVIL.replace("/", "|") / "map.png")
    run = rename(run, EVIL)
    monkeypatch.chdir(run.parent)
    assert main(["report", f"./{run.name}"]) == 0
    page = Page(run / "report.html")
    page.check_alone()
    assert not CONTROL.search(page.html)
    assert "49" not in re.findall(r"\b49\b", page.text)
    assert page.text.count(SHOWN) > 30
    assert not CONTROL.search(capsys.readouterr().out)


def test_odd_values(run, quick):
    """JSON of the right form with values of wrong types."""
    for odd in (None, [], {}, "x", 1e400, -1, 10**400, True, [[[]]]):
        edit(run / "results.json", **{"test/mse": odd, "epoch": odd, "parameters": odd, "test/psnr": odd})
        edit(
            run / "provenance.json", **dict.fromkeys(("code", "packages", "hardware", "data", "command"), odd)
        )
        edit(run / "status.json", epoch=odd, step=odd, time=odd, error=odd)
        Page(write_report(run).path).check_alone()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int) -> bytes:
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg onload=alert(1)>",
        SIGNATURE,
        header(3, 3),
        header(3, 3)[:-1] + b"x" + chunk(b"IEND", b""),
        header(3, 3) + chunk(b"IEND", b"") + b"<script>",
        header(10**6, 10**6) + chunk(b"IEND", b""),
        header(0, 3) + chunk(b"IEND", b""),
        header(1, 30_000_000) + chunk(b"IEND", b""),
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
        SIGNATURE + chunk(b"IEND", b""),
        header(3, 3) + chunk(b"IDAT", bytes(MOST_BYTES)) + chunk(b"IEND", b""),
        header(3, 3) + struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(40),
    ],
)
def test_what_is_no_whole_png_is_left_out(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    assert picture(tmp_path, "x.png", "") is None


def test_a_png_is_embedded_as_it_is(tmp_path):
    content = png(tmp_path / "x.png", (100, 40)).read_bytes()
    found = picture(tmp_path, "x.png", "what it is", images=True)
    assert base64.b64decode(found.source.removeprefix("data:image/png;base64,")) == content
    assert (found.width, found.height) == (700, 280)


@pytest.mark.parametrize("name", ["figures/out.png", "figures", "detect", "embed"])
def test_links_out_of_the_folder_are_not_followed(run, quick, tmp_path, name):
    fill(run)
    outside = tmp_path / "outside"
    secret = png(outside / "own" / "map.png")
    for other in ("my_own.png", "test_scores.png"):
        png(outside / other)
    place = run / name
    if place.is_dir():
        os.rename(place, tmp_path / "before")
    place.symlink_to(secret if name.endswith("png") else outside)
    page = Page(write_report(run).path)
    alts = [str(each["alt"]) for each in page.named("img")]
    gone = {
        "figures/out.png": "out.png",
        "figures": "my_own.png",
        "detect": "Histogram of the scores",
        "embed": "Map of the codes of the run",
    }
    assert not [alt for alt in alts if alt.startswith(gone[name])]


@pytest.mark.parametrize("name", ["metrics.csv", "provenance.json", "config.yaml", "results.json"])
def test_a_file_that_is_a_link_out_of_the_folder_is_refused(run, tmp_path, name):
    (run / name).rename(tmp_path / "outside")
    (run / name).symlink_to(tmp_path / "outside")
    with pytest.raises(BadInput, match="leads out of the run folder"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_a_report_that_is_a_link_is_not_written_through(run, quick, tmp_path):
    outside = tmp_path / "outside.html"
    outside.write_text("mine")
    (run / "report.html").symlink_to(outside)
    write_report(run)
    assert outside.read_text() == "mine"
    assert not (run / "report.html").is_symlink()


def test_a_pipe_does_not_block(run, quick):
    os.mkfifo(run / "figures" / "pipe.png")
    (run / "detect").mkdir()
    os.mkfifo(run / "detect" / "test_scores.csv")
    Page(write_report(run).path).check_alone()


@pytest.mark.parametrize(
    "rows",
    [
        ["-1e308,1", "1e308,2"],
        ["1e300,1", "2e300,5"],
        ["1,5e-324", "2,1e-323"],
        ["1,-1e308", "2,1e308"],
        ["1,inf", "2,nan", "3,1e999"],
        ["0.5,1", "0.25,2"],
        ["1,1", f"{'9' * 5000},2"],
    ],
)
def test_metrics_of_another_making(run, quick, rows):
    (run / "metrics.csv").write_text("\n".join(["epoch,val/loss", *rows, ""]))
    page = Page(write_report(run).path)
    page.check_alone()
    assert not re.search(r'(?:points|x|y|x1|y1|cx|cy)="[^"]*(nan|inf)', page.html)
    assert "Configuration" in page.headings()


def test_numbers_of_hundreds_of_digits_are_written_short(run, quick):
    fill(run)
    (run / "detect" / "test_scores.csv").write_text(
        "row,score,p_value,outlier,cause_1,share_1\n1,1e308,0.5,true,a,1e308\n2,-1e999,nan,x,b,nan\n"
    )
    (run / "denoise" / "test" / "denoising.csv").write_text(
        "level,method,psnr,mse\n1e308,a,1e308,1\n-1e308,b,-1e308,x\n0.1,c,inf,nan\n"
    )
    sides = {"mse": 1e308, "knn": -(10**300), "linear": "0.5", "trustworthiness": [1], "continuity": True}
    quality = {"autoencoder": sides, "pca": {"mse": None}, "pca_components": [[{}]], "remarks": {"a": 1}}
    (run / "embed" / "own" / "quality.json").write_text(json.dumps(quality))
    page = Page(write_report(run).path)
    page.check_alone()
    shown = [text for tag, text in page.texts if tag in ("td", "th")]
    assert not [text for text in shown if re.search(r"\d{30}", text) and text not in ("commit",)]
    assert "a (100%)" in shown


@pytest.mark.parametrize(
    "quality",
    [
        "[" * 100_000,
        '{"autoencoder": ' + '{"mse": ' * 5_000 + "1" + "}" * 5_001,
        '{"autoencoder": {"mse": ' + "9" * 100_000 + "}}",
        '"text"',
        "",
    ],
)
def test_a_quality_that_is_no_table_of_numbers_is_left_out(run, quick, quality):
    fill(run)
    (run / "embed" / "own" / "quality.json").write_text(quality)
    page = Page(write_report(run).path)
    page.check_alone()
    assert "Codes of the run's own data" not in page.text


def test_a_page_has_a_bounded_size(run, quick, monkeypatch):
    monkeypatch.setattr(report, "LARGEST_PICTURES", 3_000)
    for number in range(60):
        png(run / "figures" / f"own_{number}.png", (100, 100))
    (run / "denoise" / "test").mkdir(parents=True)
    lines = "\n".join(f"0.1,method {number},1,2" for number in range(100_000))
    (run / "denoise" / "test" / "denoising.csv").write_text(f"level,method,psnr,mse\n{lines}\n")
    page = Page(write_report(run).path)
    page.check_alone()
    assert len(page.html) < 100_000
    assert "more pictures are in the run folder" in page.text


def test_a_picture_is_not_enlarged_beyond_what_can_be_scrolled(tmp_path):
    found = picture(tmp_path, png(tmp_path / "x.png", (1, 10_000)).name, "", images=True)
    assert (found.width, found.height) == (1, 10_000)
