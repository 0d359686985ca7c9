"""A run's row in TensorBoard's HParams tab: its config, and its final metrics as columns."""

from __future__ import annotations

from typing import Any

LEFT_OUT = ("callbacks", "logger")  # they do not change what is learned


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Nested keys joined by dots; a part's class in place of its ``_target_``; lists as text."""
    row: dict[str, bool | int | float | str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            row |= flat(value, f"{name}.")
        elif key == "_target_":
            row[prefix.rstrip(".")] = str(value).rpartition(".")[2]
        else:
            row[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return row


def write_hparams(writer: Any, config: dict[str, Any], metrics: dict[str, float]) -> None:
    """Write the row. The metrics are logged already; here they are only named, and their last value counts.

    Args:
        writer: the run's SummaryWriter.
        config: resolved, in plain types.
        metrics: final values by the names they are logged under.
    """
    from torch.utils.tensorboard.summary import hparams

    row = flat({group: keys for group, keys in config.items() if group not in LEFT_OUT})
    for summary in hparams(row, dict(metrics)):
        writer._get_file_writer().add_summary(summary)
