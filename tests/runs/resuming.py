"""The runs that tests of resuming interrupt."""

from __future__ import annotations

# 24 steps in 3 epochs of 8 batches; groups of 3, so that an interruption may come in the middle of one
SMALL = (
    *("data.batch_size=140", "data.val_size=0.25", "architecture.hidden=[8]", "latent.dim=2"),
    *("trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none", "trainer.max_epochs=3"),
    *("trainer.log_every_n_steps=5", "trainer.steps_per_execution=3"),
    *("callbacks.figures.every_n_epochs=2", "callbacks.projector.points=20"),
    "callbacks.figures.summary=false",
)
CONFIGS = {
    "plain": (),
    "vae": (
        *("model=vae", "noise=gaussian", "scheduler=cosine", "regularizer.kl.warmup_epochs=1.7"),
        *("architecture.normalization=batch", "architecture.dropout=0.1"),
        "callbacks.figures.summary=true",
    ),
    "accumulated": (
        *("noise=masking", "scheduler=plateau", "scheduler.patience=0", "optimizer=sgd"),
        *("trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=0.1", "trainer.max_epochs=8"),
        "callbacks.checkpoint.every_n_steps=2",
    ),
    "seldom judged": ("trainer.check_val_every_n_epoch=2", "callbacks.checkpoint.every_n_epochs=2"),
    "never judged": ("data.val_size=0",),
    "few steps": ("trainer.max_steps=21",),
    "stops early": (
        *("callbacks.early_stopping.enabled=true", "callbacks.early_stopping.patience=2"),
        *("callbacks.early_stopping.min_delta=100", "trainer.max_epochs=20"),
    ),
}
