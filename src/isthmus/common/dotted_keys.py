"""Dotted keys, such as ``trainer.max_epochs``, of nested mappings. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, in order. An empty mapping is a value."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if value and isinstance(value, dict) else {name: value}
    return flat
