"""Small runs of a few seconds that write all that a run can write, again and again."""

from __future__ import annotations

EVERYTHING = (
    *("trainer.threads=1", "trainer.log_every_n_steps=5", "latent.dim=3", "data.val_size=0.3"),
    *("callbacks.checkpoint.every_n_steps=7", "callbacks.figures.every_n_epochs=2"),
)
DIGITS = ("data=digits", "data.batch_size=64", "architecture=mlp", "architecture.hidden=[16]")
CONFIGS = {
    "plain": (*DIGITS, "trainer=cpu", "trainer.max_epochs=14"),
    "vae": (
        *(*DIGITS, "trainer=cpu", "trainer.max_epochs=14", "model=vae", "regularizer.kl.warmup_epochs=7.5"),
        *("scheduler=cosine", "optimizer=adamw", "architecture.normalization=batch"),
        *("callbacks.early_stopping.enabled=true", "callbacks.early_stopping.patience=4"),
    ),
    "noise": (
        *(*DIGITS, "trainer=cpu", "trainer.max_epochs=14", "noise=salt_and_pepper", "loss=bce"),
        *("scheduler=plateau", "scheduler.patience=0", "optimizer=sgd", "architecture.dropout=0.1"),
        *("trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=0.5"),
        "callbacks.checkpoint.every_n_steps=3",
    ),
    "streamed": (
        *("data=images", "data.path={photos}", "data.size=8", "data.batch_size=8", "noise=gaussian"),
        *("data.in_memory=false", "data.num_workers=1", "architecture=conv", "architecture.channels=[4,8]"),
        *("trainer=cpu", "trainer.max_epochs=8"),
    ),
    "mapped": (
        *("data=arrays", "data.path={rows}", "data.in_memory=false", "data.num_workers=1", "noise=masking"),
        *("data.batch_size=64", "architecture=mlp", "architecture.hidden=[16]"),
        *("trainer=cpu", "trainer.max_epochs=14", "trainer.steps_per_execution=5"),
    ),
    "ddp": (
        *(*DIGITS, "trainer=ddp_cpu", "trainer.max_epochs=7", "model=vae", "noise=gaussian"),
        *("regularizer.kl.warmup_epochs=3.5", "architecture.normalization=batch", "scheduler=cosine"),
        "data.test_size=301",
    ),
}
