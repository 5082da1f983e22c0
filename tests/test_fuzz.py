"""Files from outside with made-up content: each is read or refused in words, with no other exception and no end."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import DEFAULT
from fuzzing import CELLS, NAMES, VALUES, YAML_TEXTS, few, is_read_or_refused, spoilt, tables
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from scipy.io import savemat

from hcga.ablation.tables import load_table
from hcga.datasets.catalogue import read_catalogues
from hcga.datasets.cuhk03_archive import _read_protocol
from hcga.datasets.layouts.market1501 import FOLDERS
from hcga.datasets.readers import LAYOUTS, read_data_set
from hcga.figures import collect_curves, collect_figures, format_figures, read_metrics
from hcga.masks.export_note import read_note
from hcga.masks.label_images import find_label_images
from hcga.occluders import list_occluders, read_occlusion
from hcga.params import check_params, load_params
from hcga.runs.revisions import parse_place
from hcga.runs.staleness import changed_params, is_stale
from hcga.runs.workspace import Workspace
from hcga.samples import COLUMNS, read_samples
from hcga.store_writing import write_store
from hcga.stores import IMAGE_SET, array, attribute, open_store, read_all
from hcga.validation import read_yaml
from hcga.view.looks import opacity

DEFAULTS = YAML(typ="safe").load(DEFAULT)
PLACES = [(name,) for name in DEFAULTS] + [
    (name, field) for name, section in DEFAULTS.items() if isinstance(section, dict) for field in section
]


@few(75)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_params(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    values = copy.deepcopy(DEFAULTS)
    for place, value in changes:
        section = values
        for name in place[:-1]:
            section = section[name] if isinstance(section, dict) and isinstance(section.get(name), dict) else {}
        section[place[-1]] = value
    is_read_or_refused(check_params, values, "params.yaml")


@few(75)
@given(YAML_TEXTS)
def test_yaml(text: str) -> None:
    is_read_or_refused(read_yaml, text, "a.yaml")


@few(30)
@given(YAML_TEXTS, st.integers(0, 5000))
def test_files_of_params_and_of_tables(tmp_path: Path, text: str, place: int) -> None:
    written = DEFAULT.read_text(encoding="utf-8")
    for name, read in (("params.yaml", load_params), ("table.yaml", load_table)):
        whole = written if name == "params.yaml" else "title: a\nseeds: [1]\nrows:\n  a: {set: {gam.t: 2}}\n"
        cut = place % len(whole)
        (tmp_path / name).write_bytes((whole[:cut] + text + whole[cut:]).encode("utf-8", "surrogateescape"))
        is_read_or_refused(read, tmp_path / name)


@few(30)
@given(st.dictionaries(st.sampled_from(["title", "rows", "seeds", "base", "note", "x"]), VALUES))
def test_tables_of_ablations(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "table.yaml").write_text(json.dumps({"title": "a", "rows": {"b": {}}, **values}), encoding="utf-8")
    is_read_or_refused(load_table, tmp_path / "table.yaml")


@few(40)
@given(tables(["path", "split", "pid", "camid", "frame"]))
def test_sample_tables(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "samples.csv").write_bytes(content)
    is_read_or_refused(read_data_set, "table", tmp_path)


@few(30)
@given(st.sampled_from(list(LAYOUTS)), st.lists(NAMES, min_size=1, max_size=3), NAMES)
def test_names_in_every_layout(tmp_path: Path, layout: str, names: list[str], folder: str) -> None:
    root = tmp_path / "set"
    kinds = [f"{kind}_body_images" for kind in ("occluded", "whole", "partial")]
    parts = [*FOLDERS.values(), *kinds, "train", "query", "gallery", "Probe", "Gallery"]
    folders = [root / part for part in [*parts, *(f"{part}/{folder}" for part in ("train", *kinds))]]
    for path in folders:
        path.mkdir(parents=True, exist_ok=True)
    for path in (path / name for path in folders for name in names):
        if not path.is_dir():
            path.touch()
    is_read_or_refused(read_data_set, layout, root)
    shutil.rmtree(root)


LINES = st.lists(st.tuples(NAMES | CELLS, st.sampled_from(["", " 0", " 1", " ²", " -1", f" {'9' * 5000}", " x", "\r"])))


@few(30)
@given(LINES, st.booleans())
def test_list_files(tmp_path: Path, lines: list[tuple[str, str]], known: bool) -> None:
    name, listed = "0005_c2_f1.jpg", "0000/0000_013_04_0303morning_0020_2.jpg"
    for file in [*(f"{folder}/{name}" for folder in FOLDERS.values()), f"train/{listed}", f"test/{listed}"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    text = "\n".join([*([name, f"{listed} 0"] if known else []), *(first + end for first, end in lines)])
    for file in (
        "train.list",
        "query.list",
        "gallery.list",
        *(f"list_{part}.txt" for part in ("train", "query", "gallery")),
    ):
        (tmp_path / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    is_read_or_refused(read_data_set, "occluded_dukemtmc", tmp_path)
    is_read_or_refused(read_data_set, "msmt17:train_only", tmp_path)


def protocol(path: Path, packed: bool) -> bytes:
    places = {f"{split}_idx": [[1]] for split in FOLDERS}
    names = np.array([["1_001_1_01.png"]], object)
    savemat(path, {"filelist": names, "labels": [[1]], **places}, do_compression=packed)
    return path.read_bytes()


@few(40)
@given(st.data())
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_protocols_of_matlab(tmp_path: Path, packed: bool, data: st.DataObject) -> None:
    file = tmp_path / "protocol.mat"
    file.write_bytes(data.draw(spoilt(protocol(file, packed))))
    is_read_or_refused(_read_protocol, file)


FIELDS = ["shape", "data_type", "chunk_grid", "codecs", "fill_value", "attributes", "node_type", "zarr_format"]


@few(30)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2), st.dictionaries(st.text(max_size=3), VALUES))
def test_descriptions_of_stores(tmp_path: Path, changes: dict[str, Any], attributes: dict[str, Any]) -> None:
    store = tmp_path / "a.zarr"
    write_store(store, {"masks": np.zeros((2, 4, 2), np.uint8)}, part_classes=4)
    for file, changed in (("zarr.json", {"attributes": attributes}), ("masks/zarr.json", changes)):
        values = json.loads((store / file).read_text()) | changed
        (store / file).write_text(json.dumps(values, default=str), encoding="utf-8")

    def read() -> None:
        opened = open_store(store)
        attribute(opened, "part_classes", int)
        read_all(array(opened, "masks"))

    is_read_or_refused(read)


@few(20)
@given(VALUES, VALUES)
def test_stores_of_label_images(tmp_path: Path, paths: Any, classes: Any) -> None:
    store, samples = tmp_path / "a.zarr", pd.DataFrame({"dataset": ["main"], "path": ["a/b.jpg"]})
    write_store(store, {"labels": np.zeros((1, 4, 2), np.uint8)})
    values = json.loads((store / "zarr.json").read_text())
    for attributes in ({"paths": paths}, {"paths": [paths]}, {IMAGE_SET: paths, "part_classes": classes}):
        (store / "zarr.json").write_text(json.dumps(values | {"attributes": attributes}, default=str))
        is_read_or_refused(find_label_images, store, samples)
        is_read_or_refused(lambda: attribute(open_store(store), "part_classes", int))


@few(30)
@given(tables(["image", "left", "top", "right", "bottom"]))
def test_occluders(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "occluders.csv").write_bytes(content)
    is_read_or_refused(list_occluders, tmp_path, pd.Series(["a.jpg", "x"]))


@few(20)
@given(tables(list(COLUMNS)), tables(["dataset", "path", "left", "top", "right", "bottom"]), tables(["epoch", "loss"]))
def test_tables_that_stages_write(tmp_path: Path, samples: bytes, occlusion: bytes, history: bytes) -> None:
    known = pd.DataFrame({"dataset": ["main"], "path": ["a.jpg"]})
    file = tmp_path / "a.csv"
    for content, read in (
        (samples, lambda: read_samples(file)),
        (samples, lambda: read_catalogues({"main": file})),
        (occlusion, lambda: read_occlusion(file, known)),
        (history, lambda: collect_curves({"r1": file})),
    ):
        file.write_bytes(content)
        is_read_or_refused(read)


@few(40)
@given(VALUES)
def test_figures_and_notes(tmp_path: Path, values: Any) -> None:
    for content in (
        values,
        {"retrieval": values},
        {"masks": [values], "a": values},
        {"part_classes": 4, "masks": values},
    ):
        for name in ("r1.json", "exported.json"):
            (tmp_path / name).write_text(json.dumps(content, default=str, skipkeys=True), encoding="utf-8")
        is_read_or_refused(lambda: format_figures(collect_figures({"r1": read_metrics(tmp_path / "r1.json")})))
        is_read_or_refused(read_note, tmp_path)


@few(25)
@given(VALUES, st.integers(0, 3))
def test_locks(workspace_folder: Path, values: Any, which: int) -> None:
    file = workspace_folder / "dvc.lock"
    entry = [values, {"deps": values}, {"outs": [{"path": values}]}, {"params": {"params.yaml": values}}][which]
    file.write_text(json.dumps({"stages": {"coparse@r1": entry}}, default=str, skipkeys=True))
    workspace = Workspace(workspace_folder)
    is_read_or_refused(changed_params, workspace)
    is_read_or_refused(is_stale, workspace, "coparse", "r1")


@few(40)
@given(st.text(), CELLS)
def test_addresses(text: str, number: str) -> None:
    is_read_or_refused(parse_place, text)
    is_read_or_refused(opacity, {"opacity": number})
    is_read_or_refused(opacity, {"opacity": text})
