"""One contestant per file; each runs in a process of its own."""
