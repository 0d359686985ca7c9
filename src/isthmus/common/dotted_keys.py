"""Dotted keys, such as ``trainer.max_epochs``, of nested mappings. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, in order. An empty mapping is a value."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if value and isinstance(value, dict) else {name: value}
    return flat


def walk(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in nested dicts and lists, with its dotted key; outer values first, `content` at `key`."""
    yield key, content
    if isinstance(content, dict):
        for name, value in content.items():
            yield from walk(value, join(key, str(name)))
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from walk(value, f"{key}[{place}]")


def join(key: str, name: str) -> str:
    """The dotted key of `name` in the group `key`; "" is the whole config."""
    return f"{key}.{name}" if key else name
