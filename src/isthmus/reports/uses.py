"""What `isthmus embed`, `detect`, `denoise` and `generate` left in the run folder."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isthmus.common.csv_rows import read_rows
from isthmus.common.errors import BadInput
from isthmus.common.messages import printable
from isthmus.reports.metrics import short
from isthmus.reports.page import Picture, Section, Table
from isthmus.reports.pictures import picture
from isthmus.runs.folder.untrusted import names_in, read_json, within

MOST_FOLDERS = 4  # results of a command on different data
LARGEST = 64 << 20  # bytes of a table
ROWS, COLUMNS = 8, 6  # of a table that are shown
MOST_SCORES = 1_000  # methods at a level
MOST_LEVELS = 10  # of noise
LONGEST = 40  # characters of a cell
# measure -> how it is called, and what it is
MEASURES = {
    "mse": ("reconstruction error", "mean squared error of a value, in the scale of training"),
    "knn": ("nearest neighbours", "accuracy of a classifier by the 5 nearest codes"),
    "linear": ("linear probe", "accuracy of a linear classifier on the codes"),
    "trustworthiness": ("trustworthiness", "whether neighbours among codes are neighbours among the data"),
    "continuity": ("continuity", "whether neighbours among the data are neighbours among codes"),
}
# command -> what it would add
COMMANDS = {
    "embed": "a map of all codes, and how good they are beside those of PCA",
    "detect": "anomaly scores of the test rows, with ROC and precision-recall curves where there are labels",
    "denoise": "the error against the noise, beside classical filters",
    "generate": "samples, interpolations and traversals",
}
# how the name of a picture of `detect` ends -> caption
SCORES = {
    "": "Histogram of the scores, with the threshold.",
    "_roc": "ROC curve: the share of anomalies found against the share of false alarms.",
    "_precision_recall": "Precision (the share of alarms that are anomalies) against recall.",
}
ANOMALIES = (
    "The images with the highest scores, their reconstructions, and the share of each pixel in the error "
    "(bright: large)."
)
GENERATED = {
    "samples.png": "Samples of the {}.",
    "interpolations.png": "Interpolations: in each row, from one sample of the {} to another.",
    "traversals.png": "Traversals: in each row, one number of the code changes, and the others stay.",
    "plane.png": "The plane of the two-dimensional codes.",
}


def embedded(folder: Path) -> Section:
    """The map of the codes, and their quality beside PCA."""
    section = Section("Codes")
    for name in _results(folder, "embed"):
        of = "the run's own data" if name == "own" else printable(name, LONGEST)
        place = f"embed/{name}"
        caption = f"Map of the codes of {of}"
        if within(folder, f"{place}/map.html"):
            caption += f"; {printable(place, 80)}/map.html in the run folder shows the examples"
        _add(section, picture(folder, f"{place}/map.png", f"{caption}."))
        if quality := _json(folder, f"{place}/quality.json"):
            section.tables += _quality(quality, of)
    return section


def detected(folder: Path) -> Section:
    """The curves of the scores, and the rows with the highest."""
    section = Section("Anomalies")
    for ending, caption in SCORES.items():
        panel = picture(folder, f"detect/test_scores{ending}.png", caption)
        section.panels += [panel] if panel is not None else []
    _add(section, picture(folder, "detect/test_scores_anomalies.png", ANOMALIES))
    rows = outliers = 0
    found: list[tuple[float, int, dict[str, str]]] = []
    for row in _rows(folder, "detect/test_scores.csv"):
        rows += 1
        outliers += row.get("outlier") == "true"
        place = (_float(row.get("score")), -rows, row)  # of equal scores, the first rows
        (heapq.heappush if rows <= ROWS else heapq.heappushpop)(found, place)
    if rows:
        section.text.append(
            f"{outliers:,} of {rows:,} test rows are above the threshold, which the validation rows set."
        )
        highest = [row for _, _, row in sorted(found, reverse=True)]
        # pixels are shown, not named
        section.tables.append(_anomalies(highest, with_causes=not section.pictures))
    return section


def denoised(folder: Path) -> Section:
    """Error against noise, as curve and table, and denoised images."""
    section = Section("Denoising")
    for name in _results(folder, "denoise"):
        place = f"denoise/{name}"
        caption = "Error of the test rows against the standard deviation of Gaussian noise."
        _add(section, picture(folder, f"{place}/denoising.png", caption))
        caption = "Test images, with noise, and denoised."
        _add(section, picture(folder, f"{place}/denoised.png", caption))
        section.tables += _denoising(list(_rows(folder, f"{place}/denoising.csv", most=MOST_SCORES)))
    return section


def generated(folder: Path) -> Section:
    """New examples."""
    section = Section("Samples")
    for at, sampler in enumerate(_results(folder, "generate")):
        place = f"generate/{sampler}"
        for name in [*GENERATED][: 1 if at else None]:  # of all but the first, only samples
            caption = GENERATED[name].format(printable(sampler, LONGEST))
            _add(section, picture(folder, f"{place}/{name}", caption, images=True))
        for name in ("samples", "traversals")[: 1 if at else None]:
            first = list(_rows(folder, f"{place}/{name}.csv", most=ROWS))
            section.tables += _cells(first, GENERATED[f"{name}.png"].format(printable(sampler, LONGEST)))
    return section


def _results(folder: Path, task: str) -> list[str]:
    """The folders with results of a command; those of the run's own data first."""
    return sorted(names_in(folder, task), key=lambda name: (name not in ("own", "test", "prior"), name))[
        :MOST_FOLDERS
    ]


def _add(section: Section, found: Picture | None) -> None:
    section.pictures += [found] if found is not None else []


def _quality(quality: Mapping[str, Any], of: str) -> list[Table]:
    sides = [quality.get(side) for side in ("autoencoder", "pca")]
    own, pca = (side if isinstance(side, Mapping) else {} for side in sides)
    names = [name for name in MEASURES if _is_number(own.get(name)) or _is_number(pca.get(name))]
    rows = [
        [MEASURES[name][0], *(short(side[name]) if _is_number(side.get(name)) else "" for side in (own, pca))]
        for name in names
    ]
    notes = [MEASURES[name][1] for name in names]
    remarks = quality.get("remarks")
    remarks = remarks if isinstance(remarks, list) else []
    caption = "; ".join([f"Codes of {of}", *(printable(remark, 300) for remark in remarks[:5])])
    components = printable(quality.get("pca_components"), 20)
    head = ["", "autoencoder", f"PCA, {components} components"]
    return [Table(head, rows, (1, 2), f"{caption}.", notes)] if rows else []


def _denoising(rows: list[dict[str, str]]) -> list[Table]:
    """Methods as rows, levels as columns."""
    bounded = any(_float(row.get("psnr")) > -math.inf for row in rows)
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        level, method = (printable(row.get(name), LONGEST) for name in ("level", "method"))
        value = _float(row.get("psnr" if bounded else "mse"))
        cells[method][level] = _fixed(value, 2) if bounded else _fixed(math.sqrt(max(value, 0)), 4)
    levels = list(dict.fromkeys(level for own in cells.values() for level in own))[:MOST_LEVELS]
    caption = (
        f"{'PSNR in dB' if bounded else 'Root mean squared error'} by the standard deviation of the noise."
    )
    table = [[method, *(own.get(level, "") for level in levels)] for method, own in [*cells.items()][:20]]
    return [Table(["method", *levels], table, range(1, len(levels) + 1), caption)] if table else []


def _anomalies(rows: list[dict[str, str]], *, with_causes: bool) -> Table:
    """The rows with the highest scores, and why these are high."""
    known = [name for name in ("row", "name", "label", "score", "p_value") if name in rows[0]]
    cells = []
    for row in rows:
        causes = [
            f"{printable(row[f'cause_{at}'], LONGEST)} ({min(max(_float(row.get(f'share_{at}')), 0), 1):.0%})"
            for at in (1, 2, 3)
            if row.get(f"cause_{at}")
        ]
        above = "yes" if row.get("outlier") == "true" else "no"
        why = [", ".join(causes)] if with_causes else []
        cells.append([*(_cell(row[name]) for name in known), above, *why])
    why = ["caused by (share of the error)"] if with_causes else []
    head = [*(name.replace("_", "-") for name in known), "anomaly", *why]
    numbers = [at for at, name in enumerate(known) if name in ("row", "score", "p_value")]
    return Table(head, cells, numbers, "The test rows with the highest scores.")


def _cells(rows: list[dict[str, str]], caption: str) -> list[Table]:
    """The first rows and columns of a table."""
    if not rows:
        return []
    names = list(rows[0])[:COLUMNS]
    more = len(rows[0]) - len(names)
    caption += f" {more:,} more columns are in the file." if more else ""
    numbers = [at for at, name in enumerate(names) if all(_float(row[name]) > -math.inf for row in rows)]
    shown = [[_cell(row[name]) for name in names] for row in rows]
    return [Table([printable(name, LONGEST) for name in names], shown, numbers, caption)]


def _fixed(value: float, digits: int) -> str:
    """A number with some digits after the point; one that would have many before it, to four."""
    return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.4g}"


def _cell(text: str) -> str:
    """Text, and numbers to four digits."""
    value = _float(text)
    return f"{value:.4g}" if "." in text and math.isfinite(value) else printable(text, LONGEST)


def _rows(folder: Path, name: str, most: int | None = None) -> Iterator[dict[str, str]]:
    """The rows of a table, up to damage; none of one that is missing or too large."""
    path = within(folder, name)
    try:
        if path is not None and path.stat().st_size <= LARGEST:
            for at, row in enumerate(read_rows(path)):
                if at == most:
                    return
                yield row
    except (OSError, ValueError):
        return


def _json(folder: Path, name: str) -> Mapping[str, Any]:
    path = within(folder, name)
    try:
        return {} if path is None else read_json(path)
    except BadInput:
        return {}


def _float(text: str | None) -> float:
    """A number; lower than all others where the text is none."""
    try:
        value = float(text or "nan")
    except ValueError:
        return -math.inf
    return value if value == value else -math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
