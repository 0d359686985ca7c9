"""isthmus: config-driven experiments with autoencoders."""

__version__ = "0.1.0"
