"""The names that a user can give to a run."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
LATEST = "latest"  # means the newest run
