"""A run as one page, from what is there in its folder. Imports no torch.

The folder may be of a third party: its texts are escaped, its pictures checked, and nothing of it is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from isthmus.common.atomic_files import write_text
from isthmus.common.errors import BadInput, cut
from isthmus.common.messages import command_line, printable, relative
from isthmus.reports.curves import curves
from isthmus.reports.figures import CODES, OTHER, RECONSTRUCTIONS, SAMPLES, TRAINING, figures
from isthmus.reports.metrics import STAGES, metrics_table, short, unit_of
from isthmus.reports.page import Section, Table, render
from isthmus.reports.provenance import facts
from isthmus.reports.sentence import regularizers, sentence
from isthmus.reports.uses import COMMANDS, denoised, detected, embedded, generated
from isthmus.runs.folder.lookup import find_run
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.folder.untrusted import check_shown
from isthmus.runs.show import describe
from isthmus.training.writers.metrics_reader import read_history

NAME = "report.html"
LONGEST_TEXT = 100_000  # characters of the config that are shown, of the packages, and of uncommitted changes
LONGEST_LINE = 2_000
LARGEST_METRICS = 64 << 20  # bytes of a metrics.csv that is drawn
LARGEST_PICTURES = 64 << 20  # characters of all pictures of the page
HEADLINES = ("test/mse", "test/psnr", "test/ssim", "test/kl", "val/mse", "val/psnr", "val/ssim", "val/kl")
MOST_HEADLINES = 3
STATES = {
    "running": "This run is in training; the page shows what there was when it was made.",
    "stopped": "This run was stopped before its end; `{resume}` continues it.",
    "killed": "The process of this run is gone: it was killed before its end; `{resume}` continues it.",
    "failed": "This run failed; `{resume}` tries again, from its newest checkpoint if it has one.",
}
PACKAGES = re.compile(r"^(\w+\.)+(?=\w+:)")  # before the class of an error


class Report(NamedTuple):
    """What `write_report` has written.

    Attributes:
        path: the page.
        sections: headings of what there is.
        status: of the run, such as done.
        missing: commands that would add more, with what they would add.
    """

    path: Path
    sections: list[str]
    status: str
    missing: list[tuple[str, str]]


def write_report(run: Path, output: Path | None = None) -> Report:
    """Write the page, atomically; one that is there is replaced.

    Args:
        run: the folder.
        output: the file; None for report.html in the run folder.

    Raises:
        BadInput: there is no run, its config or status is damaged, or the page cannot be written.
    """
    path = output or run / NAME
    folder = RunFolder.open(run)
    files = (
        folder.config,
        folder.overrides,
        folder.provenance,
        folder.status,
        folder.metrics,
        folder.results,
    )
    check_shown(run, files)
    about = describe(run)
    config: Any = OmegaConf.to_container(folder.read_config(), resolve=False)
    uses = {
        "embed": embedded(run),
        "detect": detected(run),
        "denoise": denoised(run),
        "generate": generated(run),
    }
    missing = [name for name, section in uses.items() if not section] if folder.model.is_file() else []
    sections = [
        _metrics(about, config),
        *_figures(folder, about, config, uses),
        _config(about, folder),
        _provenance(about),
    ]
    _limit_pictures(sections)
    sections = [section for section in sections if section]
    status = printable(about["status"].get("status"), 20)
    commands = [(command_line("isthmus", name, called(run)), COMMANDS[name]) for name in missing]
    html = render(
        name=printable(run.absolute().name, 120),
        status=status,
        state=STATES.get(status, "").format(resume=command_line("isthmus", "resume", called(run))),
        error=_error(about["status"]),
        reached=_reached(about),
        sentence=sentence(config, about["provenance"]),
        headlines=_headlines(about),
        marked="epoch" in about["results"],
        sections=sections,
        missing=commands,
    )
    try:
        write_text(path, html)
    except OSError as error:
        fix = f"cannot be written ({error.strerror}); give another file with --output"
        raise BadInput("--output", path, fix) from error
    return Report(path, [section.name for section in sections], status, commands)


def called(run: Path) -> Path:
    """What to type for a run: its name where that finds it, or else its path."""
    name = Path(run.absolute().name)
    try:
        return name if find_run(name).resolve() == run.resolve() else relative(run)
    except BadInput:
        return relative(run)


def _figures(
    folder: RunFolder, about: Mapping[str, Any], config: Mapping[str, Any], uses: Mapping[str, Section]
) -> list[Section]:
    """The sections with charts and pictures, in order."""
    drawn = figures(folder.path)
    training = _training(folder, about, config)
    if not training.charts:
        training.pictures += drawn[TRAINING].pictures
    codes, samples = uses["embed"], uses["generate"]
    codes.pictures = drawn[CODES].pictures + codes.pictures
    made = {each.name for each in samples.pictures}
    samples.pictures += [each for each in drawn[SAMPLES].pictures if each.name not in made]
    return [training, drawn[RECONSTRUCTIONS], codes, uses["detect"], uses["denoise"], samples, drawn[OTHER]]


def _limit_pictures(sections: Sequence[Section]) -> None:
    """Leave out the pictures that would make the page too large to open, and say so."""
    room = LARGEST_PICTURES
    for section in sections:
        for pictures in (section.panels, section.pictures, section.earlier):
            kept = []
            for each in pictures:
                if len(each.source) <= room:
                    room -= len(each.source)
                    kept.append(each)
            if left := len(pictures) - len(kept):
                section.text.append(
                    f"{left:,} more pictures are in the run folder; the page would be too large."
                )
            pictures[:] = kept


def _metrics(about: Mapping[str, Any], config: Mapping[str, Any]) -> Section:
    results = about["results"] or about["latest"]
    section = Section("Results")
    if table := metrics_table(results, list(regularizers(config))):
        when = "of the best checkpoint, after" if about["results"] else "so far, in"
        epoch = results.get("epoch")
        known = isinstance(epoch, int | float)
        section.text.append(f"Metrics {when} epoch {short(epoch) if known else 'unknown'}.")
        section.tables.append(table)
    return section


def _training(folder: RunFolder, about: Mapping[str, Any], config: Mapping[str, Any]) -> Section:
    section = Section(TRAINING)
    if not folder.metrics.is_file():
        return section
    if folder.metrics.stat().st_size > LARGEST_METRICS:
        section.text.append(f"`metrics.csv` is larger than {LARGEST_METRICS >> 20} MB, and not drawn.")
        return section
    try:
        history = read_history(folder.metrics)
    except (OSError, ValueError) as error:
        section.text.append(f"`metrics.csv` cannot be read: {printable(error, 200)}.")
        return section
    best = about["results"].get("epoch")
    section.charts, others = curves(history, list(regularizers(config)), best)
    if others:
        section.text.append(f"Not drawn: {printable(', '.join(others), 300)}.")
    return section


def _config(about: Mapping[str, Any], folder: RunFolder) -> Section:
    section = Section("Configuration")
    if typed := " ".join(about["typed"]):
        section.text.append(f"Typed: `isthmus train {printable(typed, LONGEST_LINE)}`")
    rows = [
        [key, _value(key, each["default"]), _value(key, each["here"])]
        for key, each in about["config"].items()
    ]
    if rows:
        section.tables.append(
            Table(["key", "default", "this run"], rows, caption="What differs from the defaults.")
        )
    else:
        section.text.append("All keys have their defaults.")
    text = folder.config.read_text(encoding="utf-8", errors="replace")
    section.folded.append(("The whole config", cut(text, LONGEST_TEXT)))
    return section


def _provenance(about: Mapping[str, Any]) -> Section:
    provenance = about["provenance"]
    section = Section("Provenance")
    rows = [list(row) for row in facts(provenance)]
    if command := provenance.get("command"):
        rows.insert(0, ["command", printable(command, LONGEST_LINE)])
    if rows:
        section.tables.append(Table(["what", "recorded"], rows))
    packages = provenance.get("packages")
    if isinstance(packages, Mapping) and packages:
        lines = "\n".join(f"{name} {version}" for name, version in packages.items())
        section.folded.append((f"{len(packages):,} packages", cut(lines, LONGEST_TEXT)))
    code = provenance.get("code")
    for name, repository in code.items() if isinstance(code, Mapping) else ():
        if isinstance(repository, Mapping) and (diff := repository.get("diff")):
            what = "isthmus" if name == "isthmus" else "the folder that it was started in"
            section.folded.append((f"Uncommitted changes of {what}", cut(str(diff), LONGEST_TEXT)))
    return section


def _headlines(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A few numbers that say most, each with its name."""
    results = about["results"] or about["latest"]
    found: list[tuple[str, str, str]] = []
    for key in HEADLINES:
        stage, _, name = key.partition("/")
        value = results.get(key)
        if isinstance(value, int | float) and name not in {each for each, _, _ in found}:
            unit = f" {unit_of(name)}" if unit_of(name) else ""
            found.append((name, f"{name}, {STAGES[stage]}", f"{short(value)}{unit}"))
    headlines = [(label, value) for _, label, value in found[:MOST_HEADLINES]]
    parameters = results.get("parameters")
    return [*headlines, ("parameters", f"{parameters:,}")] if isinstance(parameters, int) else headlines


def _reached(about: Mapping[str, Any]) -> str:
    """How far the run came, and when."""
    status = about["status"]
    counts = " and ".join(
        f"{printable(status[unit], 20)} {unit}{'' if status[unit] == 1 else 's'}"
        for unit in ("epoch", "step")
        if unit in status
    )
    when = printable(status.get("time", ""), 40).replace("T", " ")
    return ", ".join(filter(None, (f"after {counts}" if counts else "", when)))


def _error(status: Mapping[str, Any]) -> str:
    """The last line of the traceback, without the packages of the error, or the error."""
    text = str(status.get("traceback") or status.get("error") or "").strip()
    return printable(PACKAGES.sub("", text.splitlines()[-1]), 500) if text else ""


def _value(key: str, value: Any) -> str:
    """A value of the config; of a class, its name."""
    typed = {None: "-", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return typed[value]
    return printable(str(value).rpartition(".")[2] if key.endswith("_target_") else value, 200)
