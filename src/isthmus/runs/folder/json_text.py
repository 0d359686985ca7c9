"""JSON text for the files of a run and for output."""

from __future__ import annotations

import json
from typing import Any


def as_json(content: dict[str, Any]) -> str:
    """JSON text; infinities and NaN become null, since JSON cannot represent them."""
    return json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value
