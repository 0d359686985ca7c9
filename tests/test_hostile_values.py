"""Every key of the config takes every value without a traceback: it is accepted, or refused in one line.

Nothing here names the keys or the choices, which are found by listing.
"""

from __future__ import annotations

import resource
import time
import zlib
from functools import cache, partial

import datasets
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from isthmus.common.errors import BadInput
from isthmus.data import fashion_mnist
from isthmus.runs.config.compose import compose, conf_dir
from isthmus.runs.config.hydra.errors import explained
from isthmus.runs.config.validation import check
from isthmus.runs.execution import fit, launch, resources
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.stop_requests import StopRequests
from isthmus.training.writers.background import Background

# as typed on the command line
VALUES = (
    *("nan", "inf", "-inf", "1e400", "-1", "-0.5", "0", "0.5", "2.0", "1e-320", "1e308"),
    *(f"1{'0' * 15}", f"1{'0' * 15}.5", f"1{'0' * 30}"),
    *("true", "null", "''", "nonsense", "{a: 1}", "[1]", "[nan]", "[null]", "[]", "[[1],[2]]"),
    *("'a\x1b[31m\x07\rb'", '"line\nbreak"', "/dev/zero", "~"),
    *("${oc.env:HOME}", "${nothing}", "${", "\\${seed}", "???", "${seed}"),
)
RARE = (
    *("1", "false", "auto", "{}", "[1,2]", "[true]", "[x]", "[0]", "[-1]", "[1e400]", "[[[[[[[[1]]]]]]]]"),
    *("100000", "1_000", "0x10", "'1'", "1j", "é", "\udcff", "../../x", "/", "{_target_: os.system}"),
    *(f"1{'0' * 400}", f"1{'0' * 5000}", "x" * 100_000, f"[{','.join(['1'] * 300)}]"),
)
SMALL = ("trainer.progress_bar=none", "trainer.threads=1", "latent.dim=2")
PRESETS = ("model", "experiment")
OFTEN = 6
SECONDS = 60  # of one process, against hanging; a thousand layers take 8 to 22, as the machine is busy
ROOM = 3 << 30  # bytes that all of it may allocate
LONGEST = 2000  # characters of a line


def choices(group):
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml") if not path.name.startswith("_"))


GROUPS = sorted(folder.name for folder in conf_dir().iterdir() if folder.is_dir())
CHOICES = [(group, choice) for group in GROUPS for choice in choices(group)]
PARTS = [(group, choice) for group, choice in CHOICES if group not in PRESETS]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Data for the sources that need a file."""
    folder = tmp_path_factory.mktemp("files")
    rows = np.random.default_rng(0).random((40, 4), dtype=np.float32)
    np.savez(folder / "x.npz", x=rows, y=np.arange(40) % 3)
    lines = [f"{a},{b},{c},{'xy'[at % 2]}" for at, (a, b, c, _) in enumerate(rows.tolist())]
    (folder / "x.csv").write_text("\n".join(["a,b,c,kind", *lines]))
    (folder / "pictures").mkdir()
    for at in range(20):
        Image.fromarray(np.full((8, 8), at, np.uint8)).save(folder / "pictures" / f"{at}.png")
    # opened in milliseconds; a folder of pictures takes `datasets` most of a second
    pictures = {"image": [str(picture) for picture in sorted((folder / "pictures").iterdir())]}
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict(pictures, features).save_to_disk(folder / "saved")
    return {
        "arrays": (f"data.path={folder}/x.npz", "data.labels=y"),
        "table": (f"data.path={folder}/x.csv", "data.label=kind"),
        "images": (f"data.path={folder}/pictures",),
        "fashion_mnist": ("data.val_size=0.1",),
        "huggingface": (f"data.path={folder}/saved",),
    }


@pytest.fixture(scope="module", autouse=True)
def _little_room():
    """What would allocate much more than it needs fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture(autouse=True)
def _before_training(tmp_path, monkeypatch):
    """A run ends where its first step would be, and finds nothing of the person's own."""

    def until_training(cfg, parts, folder, start):
        with Background() as background:
            fit._trainer(cfg, parts, folder, StopRequests(), start, background)

    def read(root, file):
        rows = 40 if file.shape[0] == 60_000 else 10
        return torch.zeros((rows, *file.shape[1:]), dtype=torch.uint8)

    monkeypatch.setattr(launch, "fit_and_test", until_training)
    # a thousand threads are fine, and their stacks need more than `ROOM`: OpenMP would end the process
    monkeypatch.setattr(launch, "set_threads", lambda threads, *, processes: None)
    monkeypatch.setattr(launch, "_train_together", lambda folder, processes: None)
    monkeypatch.setattr(fashion_mnist, "_read", read)
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    torch.set_num_threads(1)


@cache
def composed(*overrides):
    return compose(overrides)


def base(group, choice, files):
    """Overrides for a small run with this choice."""
    chosen = f"{group}=[{choice}]" if group == "regularizer" else f"{group}={choice}"
    more = ["latent=gaussian"] if group == "regularizer" else []
    if group == "data":
        more += files.get(choice, ())
    if group == "callbacks":
        more += ["callbacks.early_stopping.enabled=true"]
    return chosen, *SMALL, *more


def keys_of(node, prefix):
    """All keys, also those that hold further keys."""
    for name in node if OmegaConf.is_dict(node) else ():
        yield f"{prefix}{name}"
        yield from keys_of(node._get_node(name), f"{prefix}{name}.")


def keys_with(group, choice, files):
    """The keys of a choice; of a preset, those that it sets."""
    if group in PRESETS:
        preset = OmegaConf.load(conf_dir() / group / f"{choice}.yaml")
        return [key for key in keys_of(preset, "") if not key.startswith("defaults")]
    return list(keys_of(composed(*base(group, choice, files))[group], f"{group}."))


def refusal(cfg, folder):
    """Why a config is refused; None where training would begin."""

    def begin(stack, parts):
        folder.mkdir()
        return RunFolder(folder), None

    try:
        check(cfg)
        launch.launch(cfg, resources.resolve_resources(cfg), begin)
    except BadInput as error:
        return error
    return None


def with_value(cfg, key, value):
    """As the command line would change a config."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser

    changed, typed = cfg.copy(), [f"{key}={value}"]
    with explained(typed):
        ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides(typed), changed)
    return changed


def with_choice(group, value):
    """As `isthmus train` composes a choice."""
    typed = [*SMALL, f"{group}={value}"]
    with explained(typed):
        return compose(typed)


def fault(said, key, alone):
    """What is wrong with a refusal, if anything."""
    line = str(said)
    if len(line) > LONGEST:
        return f"has {len(line)} characters"
    group, _, name = key.rpartition(".")
    # two keys of a group may not go together, and then either is named; large examples make a large model
    beyond_memory = said.key == "architecture" and "smaller examples" in line
    apart = not (group and said.key.startswith(f"{group}."))
    if name not in line and line != alone and apart and not beyond_memory:
        return "does not name the key"
    return None if said.fix else "says nothing"


def faults(make, key, values, folder, alone):
    """What is wrong with how values of a key are taken; `make` gives a config with one."""
    for number, value in enumerate(values):
        began = time.process_time()
        said = None
        try:
            said = refusal(make(key, value), folder / f"{key}{number}")
        except BadInput as error:
            said = error
        except Exception as error:
            yield f"{key}={value[:60]!r}: {type(error).__name__}: {str(error)[:300]}"
        if said and (wrong := fault(said, key, alone)):
            yield f"{key}={value[:60]!r}: {wrong}: {str(said)[:300]}"
        if (took := time.process_time() - began) > SECONDS:
            yield f"{key}={value[:60]!r}: took {took:.1f} s"


def all_faults(group, choice, keys, values_of, files, folder):
    cfg = composed(*base(group, choice, files))
    alone = str(refusal(cfg.copy(), folder / "alone"))
    make = partial(with_value, cfg)
    return [fault for key in keys for fault in faults(make, key, values_of(key), folder, alone)]


def some_values(key):
    """One value in `OFTEN`, others for every key, because each takes milliseconds."""
    return [value for value in VALUES if zlib.crc32(f"{key}={value}".encode()) % OFTEN == 0]


@pytest.mark.parametrize(("group", "choice"), PARTS)
def test_a_key_takes_any_value(group, choice, files, tmp_path):
    earlier = {
        key
        for other, before in PARTS[: PARTS.index((group, choice))]
        if other == group
        for key in keys_with(other, before, files)
    }
    keys = [key for key in keys_with(group, choice, files) if key not in earlier]
    assert not all_faults(group, choice, keys, some_values, files, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_so_does_one_of_every_choice(group, choice, files, tmp_path):
    keys = keys_with(group, choice, files)
    assert not all_faults(group, choice, keys, lambda _: VALUES + RARE, files, tmp_path)


def test_the_seed_takes_any_value(tmp_path):
    make = partial(with_value, composed(*SMALL))
    assert not list(faults(make, "seed", VALUES + RARE, tmp_path, None))


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_so_does_a_group(group, tmp_path):
    assert not list(faults(with_choice, group, VALUES + RARE, tmp_path, None))
