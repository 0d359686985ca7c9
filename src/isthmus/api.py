"""What `import isthmus` offers in Python."""

from __future__ import annotations

from isthmus.tasks.trained_model import load_model as load

__all__ = ["load"]
