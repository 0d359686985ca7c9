"""A run's row in TensorBoard's HParams tab: its config, and its metrics as columns."""

from __future__ import annotations

from typing import Any

LEFT_OUT = ("callbacks", "logger")


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, int | float | str]:
    """Nested keys joined by dots; a part's class in place of its ``_target_``; lists as text.

    Keys that do not affect the trained model are left out. A group of named parts, such as the regularizers,
    lists their names. True, false and null are text as in the config: TensorBoard would show them as
    1.0000, 0.0000 and nothing.
    """
    row: dict[str, int | float | str] = {}
    for key, value in config.items():
        if not prefix and key in LEFT_OUT:
            continue
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            if all(isinstance(part, dict) for part in value.values()):
                row[name] = ", ".join(value) or "none"
            row |= flat(value, f"{name}.")
        elif key == "_target_":
            row[prefix.rstrip(".")] = str(value).rpartition(".")[2]
        elif value is None:
            row[name] = "null"
        elif isinstance(value, bool):
            row[name] = str(value).lower()
        else:
            row[name] = value if isinstance(value, int | float | str) else str(value)
    return row


def write_hparams(
    writer: Any, row: dict[str, int | float | str], metrics: dict[str, float], *, step: int | None = None
) -> None:
    """Write the row. Its metrics are the last value of everything that the run logged.

    Test metrics are the best checkpoint's. The last validation may be another's, so the best
    checkpoint's validation metrics are logged once more, under ``val_best/``.

    Args:
        writer: the run's SummaryWriter.
        row: what `flat` made of the config.
        metrics: the best checkpoint's, by log name.
        step: the best checkpoint's.
    """
    from torch.utils.tensorboard.summary import hparams

    for name, value in metrics.items():
        if name.startswith("val/"):
            writer.add_scalar(name.replace("val/", "val_best/", 1), value, step)
    # The first summary is left out. It lists the columns, and TensorBoard would take those of an
    # arbitrary run for all runs; without it the columns are those of all runs, the ones that differ first.
    _, start, end = hparams(row, {})
    for summary in (start, end):
        writer._get_file_writer().add_summary(summary)
