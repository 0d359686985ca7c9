"""What a run has, printed before its first step: data, split, model and what is doubtful."""

from __future__ import annotations

import math
from pathlib import Path

from omegaconf import DictConfig

from isthmus.common.messages import remark
from isthmus.data.source import Source
from isthmus.runs.config.build import Parts
from isthmus.training.devices import device_type

FEW = 50  # training rows below which a run says that there are few


def announcement(cfg: DictConfig, parts: Parts) -> str:
    """The lines; ends without a line break."""
    source, split = parts.data.source, parts.data.split
    remarks = source.remarks(split.train)
    lines = [
        ("data", _data(cfg, source)),
        *(each for each in remarks if each[0] != "note"),
        ("split", ", ".join(f"{len(rows):,} {part}" for part, rows in split._asdict().items())),
        ("model", _model(cfg, parts)),
        *(each for each in remarks if each[0] == "note"),
        *(("note", note) for note in _doubts(cfg, math.prod(source.shape), len(split.train))),
    ]
    return "\n".join(remark(kind, text) for kind, text in lines)


def _data(cfg: DictConfig, source: Source) -> str:
    name = str(cfg.data.get("path") or cfg.data.get("root") or cfg.data._target_.rpartition(".")[2])
    here = Path.cwd()
    if Path(name).is_relative_to(here):
        name = str(Path(name).relative_to(here))
    shape = "x".join(map(str, source.shape)) if len(source.shape) > 1 else f"{source.shape[0]:,}"
    return f"{name}: {len(source):,} examples of {shape} values"


def _model(cfg: DictConfig, parts: Parts) -> str:
    features = math.prod(parts.data.source.shape)
    parameters = sum(weights.numel() for weights in parts.module.autoencoder.parameters())
    device = device_type(cfg.trainer.accelerator)
    return f"{features:,} -> {cfg.latent.dim} -> {features:,}, {parameters:,} parameters, {device}"


def _doubts(cfg: DictConfig, features: int, train_rows: int) -> list[str]:
    doubts = []
    if cfg.latent.dim >= features:
        less = max(1, features // 3)
        doubts.append(f"latent.dim={cfg.latent.dim} is no bottleneck for {features:,} values; try {less}")
    if train_rows < FEW:
        doubts.append(f"there are only {train_rows} rows to train on")
    return doubts
