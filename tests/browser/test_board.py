"""What `isthmus board` shows of two runs, in headless Chromium."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .chromium import BROWSER, PATIENCE

pytestmark = BROWSER

# The second run's last epoch need not be its best, and it has metrics that the first lacks.
RUNS = (
    ("trainer.max_epochs=2", "latent.dim=2"),
    ("trainer.max_epochs=3", "latent.dim=4", "model=vae", "optimizer.lr=0.05"),
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the runs."""
    folder = tmp_path_factory.mktemp("board")
    for overrides in RUNS:
        command = [sys.executable, "-m", "isthmus", "train", *overrides]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return folder / "outputs"


@pytest.fixture(scope="module")
def runs(outputs: Path) -> dict[str, dict[str, Any]]:
    """results.json by TensorBoard's name of the run."""
    found = {
        path.parent.relative_to(outputs).as_posix(): json.loads(path.read_text())
        for path in outputs.rglob("results.json")
    }
    assert len(found) == len(RUNS)
    return found


@pytest.fixture(scope="module")
def board(outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `isthmus board` over the runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as sink:
        server = subprocess.Popen(
            [sys.executable, "-m", "isthmus", "board", str(outputs), "--port", str(port)],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    address = f"http://localhost:{port}"
    try:
        deadline = time.monotonic() + PATIENCE
        while len(_rows(address)) < len(RUNS):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def test_time_series_show_the_validation_loss(
    page: Any, board: str, runs: dict[str, Any], screenshots: Path
) -> None:
    from playwright.sync_api import expect

    page.goto(f"{board}/#timeseries")
    page.locator("input[placeholder^='Filter tags']").fill("^(train|val)/loss$")
    page.keyboard.press("Escape")  # the list of suggestions
    card = page.locator("scalar-card").filter(has=page.get_by_text("val/loss", exact=True))
    expect(card).to_be_visible()
    expect(card.locator("svg path, canvas").first).to_be_attached()
    for name in runs:
        expect(card.get_by_text(name)).to_be_attached()
    page.wait_for_timeout(2000)  # for the picture alone: the lines grow in
    page.screenshot(path=screenshots / "timeseries.png")


def test_epoch_is_no_chart(board: str, runs: dict[str, Any]) -> None:
    tags = _get(f"{board}/data/plugin/scalars/tags")
    assert set(tags) == set(runs)
    for of_run in tags.values():
        assert {"train/loss", "val/loss", "test/loss"} <= set(of_run)
        assert not {"epoch", "step", "hp_metric"} & set(of_run)


def test_images_are_loaded(page: Any, board: str, runs: dict[str, Any], screenshots: Path) -> None:
    """The grid of examples, and the pictures of the end: more of them where there is a prior."""
    of_all = {"figures/reconstruction", "figures/curves", "figures/error_histogram", "figures/latent_map"}
    logged = {name: {*tags} for name, tags in _get(f"{board}/data/plugin/images/tags").items()}
    assert {*logged} == {*runs}
    for name, tags in logged.items():
        priors = {"figures/samples", "figures/traversals"} if name.startswith("digits_vae/") else set()
        assert tags == of_all | priors
    page.goto(f"{board}/#images")
    loaded = """count => {
        const found = [];
        const visit = root => root.querySelectorAll('*').forEach(element => {
            if (element.tagName === 'IMG') found.push(element);
            if (element.shadowRoot) visit(element.shadowRoot);
        });
        visit(document);
        const shown = found.filter(image => image.src.includes('individualImage'));
        return shown.length === count && shown.every(image => image.complete && image.naturalWidth > 0);
    }"""
    page.wait_for_function(loaded, arg=sum(map(len, logged.values())))
    page.screenshot(path=screenshots / "images.png")


def test_hparams_have_a_row_per_run_with_its_results(
    page: Any, board: str, runs: dict[str, Any], screenshots: Path
) -> None:
    from playwright.sync_api import expect

    rows = _rows(board)
    assert set(rows) == set(runs)
    for name, results in runs.items():
        shown = {value["name"]["tag"]: value for value in rows[name]["metricValues"]}
        expected = {
            (f"val_best/{key[4:]}" if key.startswith("val/") else key): value
            for key, value in results.items()
            if key.startswith(("val/", "test/")) and isinstance(value, float)
        }
        assert {"val_best/loss", "test/loss", "test/mse"} <= set(expected)
        assert {tag: shown[tag]["value"] for tag in expected} == pytest.approx(expected, rel=1e-6)
        assert shown["val_best/loss"]["trainingStep"] == results["step"]
    assert sorted(row["hparams"]["latent.dim"] for row in rows.values()) == [2, 4]

    columns = _post(f"{board}/data/plugin/hparams/experiment", {})
    metrics = {info["name"]["tag"] for info in columns["metricInfos"]}
    assert "test/kl" in metrics, "a metric that only one of the runs has"
    assert not {"epoch", "hp_metric"} & metrics
    differing = {info["name"] for info in columns["hparamInfos"] if info["differs"]}
    assert {"latent", "latent.dim", "regularizer", "optimizer.lr", "trainer.max_epochs"} <= differing

    page.goto(f"{board}/#hparams")
    cells = page.locator("vaadin-grid-cell-content:visible")
    for name in runs:
        expect(cells.get_by_text(name, exact=True)).to_have_count(1)
    texts = cells.all_inner_texts()
    assert "latent.dim" in texts
    assert "test/loss" in texts
    for results in runs.values():
        assert any(_is_near(text, results["test/loss"]) for text in texts)
    page.screenshot(path=screenshots / "hparams.png")


def test_projector_lists_the_codes(
    page: Any, board: str, outputs: Path, runs: dict[str, Any], screenshots: Path
) -> None:
    from playwright.sync_api import expect

    assert set(_get(f"{board}/data/plugin/projector/runs")) == set(runs)
    page.goto(f"{board}/#projector")
    frame = page.frame_locator("iframe").frame_locator("iframe")
    expect(frame.get_by_text("1 tensor found")).to_be_visible()
    expect(frame.get_by_text("codes:projector").first).to_be_attached()
    codes = outputs / next(iter(runs)) / "projector" / "codes" / "tensors.tsv"
    points = len(codes.read_text().splitlines())
    assert points > 0
    expect(frame.get_by_text(f"Points: {points}")).to_be_visible()
    page.screenshot(path=screenshots / "projector.png")


def _get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        return json.load(answer)


def _post(address: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        address, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def _rows(address: str) -> dict[str, dict[str, Any]]:
    """The HParams table by run; empty while the server is starting or has read nothing yet."""
    wanted = {
        "startIndex": 0,
        "sliceSize": 100,
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "colParams": [],
    }
    try:
        answer = _post(f"{address}/data/plugin/hparams/session_groups", wanted)
    except (urllib.error.URLError, ConnectionError):
        return {}
    return {row["name"]: row for row in answer.get("sessionGroups", [])}


def _is_near(text: str, value: float) -> bool:
    try:
        return float(text) == pytest.approx(value, rel=1e-4)
    except ValueError:
        return False
