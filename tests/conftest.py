import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from hcga.datasets.synthetic import synthesise
from hcga.params import Params, load_params
from hcga.samples import COLUMNS, write_samples
from hcga.store_writing import write_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
ROOT = Path(__file__).parent.parent
DEFAULT = ROOT / "params" / "demo.yaml"  # not params.yaml: who runs the tests may have swapped it
TINY_SET = {
    "seed": 3,
    "train_identities": 4,
    "test_identities": 3,
    "images_per_identity": 4,
    "cameras": 2,
    "height": 64,
    "width": 32,
    "distractors": 2,
    "query_occlusion": 0.9,
    "other_occlusion": 0.15,
}

WriteParams = Callable[..., Path]


def change(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Set dotted keys in nested mappings; `...` deletes a key."""
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section[name]
        if value is ...:
            del section[last]
        else:
            section[last] = value


@pytest.fixture(scope="session")
def default_params() -> Params:
    return load_params(DEFAULT)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, as a worker of co-parsing does; for a module's `pytestmark`."""
    import torch  # here, as most tests do not need it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def write_params(tmp_path: Path) -> WriteParams:
    """Give a function that writes the default params.yaml with changes, such as {"gam.t": 2, "train.flip": ...}."""

    def write(changes: dict[str, Any], path: Path = tmp_path / "params.yaml") -> Path:
        values = YAML(typ="safe").load(DEFAULT)
        change(values, changes)
        YAML(typ="safe").dump(values, path)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of synthetic people, 4 that train and 3 that test, 64 x 32 pixels; to be read only."""
    root = tmp_path_factory.mktemp("tiny") / "set"
    synthesise(root, **TINY_SET)
    return root


@pytest.fixture
def workspace_folder(tmp_path: Path) -> Path:
    """Give a checkout with the repository's dvc.yaml and default params.yaml, as after round r1.

    Identity 3 has two training images, identity 8 one; r1 has masks and figures, r2 and r3 nothing.
    """
    root = tmp_path / "checkout"
    (root / "data" / "metrics").mkdir(parents=True)
    (root / ".dvc").mkdir()
    (root / ".dvc/config").write_text("[core]\n    no_scm = True\n", encoding="utf-8")
    shutil.copy(ROOT / "dvc.yaml", root)
    shutil.copy(DEFAULT, root / "params.yaml")
    rows = [("train", 3, 1), ("train", 3, 2), ("train", 8, 1), ("query", 4, 1), ("gallery", 4, 2)]
    samples = [(split, pid, camid, 1, 1, f"{split}/{pid}_{camid}.jpg", "main") for split, pid, camid in rows]
    write_samples(
        pd.DataFrame(samples, columns=list(COLUMNS)),
        root / "data/samples.csv",
    )
    rng = np.random.default_rng(0)
    images, masks = rng.integers(0, 256, (5, 16, 8, 3), np.uint8), rng.integers(0, 4, (3, 4, 2), np.uint8)
    write_store(root / "data/images.zarr", {"images": images})
    write_store(root / "data/truth.zarr", {})
    write_store(root / "data/masks/r1.zarr", {"masks": masks, "labels": masks + 20}, part_classes=4)
    figures = {"epoch": 4, "retrieval": {"rank1": 43.21, "mAP": 32.1}, "masks": {"iou_foreground": 65.4}}
    (root / "data/metrics/r1.json").write_text(json.dumps(figures), encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Give a headless Chromium; skips without it or the package playwright, whose own browsers it does not need."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Any]]:
    """Give a function that opens a tab, with a base for its addresses if told; no tab may complain until the end."""
    problems: list[str] = []
    opened = []

    def open_tab(base: str | None = None) -> Any:
        page = browser.new_page(base_url=base, viewport={"width": 1200, "height": 800})
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on("response", lambda response: problems.append(response.url) if response.status >= 400 else None)
        opened.append(page)
        return page

    yield open_tab
    for page in opened:
        page.close()
    assert problems == []
