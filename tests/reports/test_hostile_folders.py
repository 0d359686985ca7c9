"""A report of a stranger's folder: its names and texts stay texts, and no file outside of it is shown."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import struct
import zlib
from pathlib import Path

import pytest
import yaml

from isthmus.cli.main import main
from isthmus.common.errors import BadInput
from isthmus.reports.pictures import MOST_BYTES, SIGNATURE, picture
from isthmus.reports.report import write_report

from .pages import Page, edit, fill, png

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}\x1b[31m\u202e`code`"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SHOWN = "alert(1)"


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
