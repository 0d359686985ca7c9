"""The keys of the config group `data` that `DataModule` takes, apart from the source's. Imports no torch."""

REQUIRED_KEYS = ("batch_size", "eval_batch_size", "val_size", "split_seed", "num_workers")
OPTIONAL_KEYS = (
    "test_size",
    "on_device",
    "stratify",
    "train_where",
)  # absent for an official test set, and in older configs
