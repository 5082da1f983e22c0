import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import change
from PIL import Image
from ruamel.yaml import YAML

from hcga.cli.main import main
from hcga.datasets.examples import make_example


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def fails(result: Result, message: str) -> None:
    assert result.exit_code != 0
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_check_of_a_sound_set(tiny_set: Path) -> None:
    result = run("check", "--layout", "synthetic", "--root", tiny_set)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"set: synthetic at {tiny_set}"
    assert lines[1].split() == ["split", "images", "identities", "cameras", "distractors", "junk"]
    assert lines[2].split() == ["train", "16", "4", "2", "0", "0"]
    assert "30 images decoded: 30 RGB; 64 x 32 pixels (height x width)" in lines
    assert lines[-1] == "0 error(s), 0 warning(s): nothing speaks against training"


def test_check_of_a_spoilt_set(tmp_path: Path) -> None:
    root = tmp_path / "spoilt"
    assert run("example", "market1501", root).exit_code == 0
    image = min((root / "query").iterdir())
    image.write_bytes(image.read_bytes()[:2000])
    result = run("check", "--layout", "market1501", "--root", root)
    assert result.exit_code == 1
    assert f"error: {image}: cannot be decoded" in result.stdout
    assert "warning: images / identities are train 36 / 6" in result.stdout
    assert "1 error(s), 1 warning(s): training makes no sense before the errors are mended" in result.stdout


def test_check_of_the_data_sets_of_params_yaml(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace_folder)
    fails(run("check"), "data/synthetic: no such folder; draw it with `dvc repro synthesise`, or set the root of")
    assert run("example", "folder", "mine").exit_code == 0
    file = workspace_folder / "params.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("layout: synthetic", "layout: folder   ")
        .replace("root: data/synthetic", "root: mine")
        .replace("truth: truth ", "truth: null  "),
        encoding="utf-8",
    )
    result = run("check")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"main: folder at {workspace_folder / 'mine'}\n")
    monkeypatch.chdir(workspace_folder / "data")
    assert run("check").stdout == result.stdout, "from a folder below the checkout"
    monkeypatch.chdir(workspace_folder.parent)
    assert run("check", "--params", file).stdout == result.stdout
    bad = min((workspace_folder / "mine" / "gallery" / "0").iterdir())
    bad.write_bytes(b"")
    assert run("check", "--params", file).exit_code == 1
    change_params(file, {"prepare.on_bad_image": "skip"})
    result = run("check", "--params", file)
    assert f"warning: left out: {bad}: not an image" in result.stdout
    assert result.exit_code == 0
    gone, spoilt = sorted((workspace_folder / "mine" / "gallery").glob("[1-9]*"))[:2]
    shutil.rmtree(gone)
    for image in spoilt.iterdir():
        image.write_bytes(b"")
    result = run("check", "--params", file)
    assert result.stdout.count("queries have no gallery image of their identity") == 1
    change_params(file, {"prepare.validation": 0.9})
    result = run("check", "--params", file)
    assert result.exit_code == 1
    assert "error: prepare.validation: 0.9 of 6 training identities" in result.stdout


def change_params(file: Path, changes: dict[str, object]) -> None:
    values = YAML(typ="safe").load(file)
    change(values, changes)
    YAML(typ="safe").dump(values, file)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"datasets.main.splits": ["query", "gallery"]}, "error: split train holds no image"),
        ({"datasets.main.counts": "error"}, "error: images / identities are train 36 / 6"),
        ({"datasets.main.truth": "parts"}, r"parts/query/.*: mode RGB; a label image has one 8-bit channel"),
    ],
)
def test_check_stops_where_the_pipeline_would(workspace_folder: Path, changes: dict[str, object], finding: str) -> None:
    root, file = workspace_folder / "mine", workspace_folder / "params.yaml"
    make_example("market1501", root)
    change_params(
        file, {"datasets.main.layout": "market1501", "datasets.main.root": "mine", "datasets.main.truth": None}
    )
    assert run("check", "--params", file).exit_code == 0
    label = root / "parts" / "query" / min((root / "query").iterdir()).with_suffix(".png").name
    label.parent.mkdir(parents=True)
    Image.new("RGB", (64, 128)).save(label)
    change_params(file, changes)
    result = run("check", "--params", file)
    assert result.exit_code == 1
    assert re.search(finding, result.stdout)


@pytest.mark.parametrize(
    ("layout", "verdict"),
    [
        ("partial_ilids", "nothing speaks against testing on it; it has nothing to train on"),
        ("folder", "nothing speaks against training; to be tested it needs query and gallery, or prepare.validation"),
    ],
)
def test_a_set_by_itself_may_be_for_training_or_testing_only(tmp_path: Path, layout: str, verdict: str) -> None:
    root = tmp_path / "set"
    make_example(layout, root)
    if layout == "folder":
        shutil.rmtree(root / "query")
        shutil.rmtree(root / "gallery")
    result = run("check", "--layout", layout, "--root", root)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith(verdict)


def test_what_is_refused(tmp_path: Path, tiny_set: Path) -> None:
    fails(run("check", "--layout", "market1501"), "--layout and --root go together")
    both = ("--layout", "market1501", "--root", tiny_set, "--params", tmp_path / "params.yaml")
    fails(run("check", *both), "--params is for data sets of a params.yaml")
    fails(run("check", "--layout", "markt", "--root", tiny_set), "no layout 'markt'; known: synthetic, market1501, ")
    fails(run("example", "markt", tmp_path / "a"), "no layout 'markt'; known: ")
    fails(run("example", "folder", tmp_path), "is there already; name a folder to make")
    fails(run("occlude", "market1501", tiny_set, tmp_path / "a", "--cover", 0.6, 0.3), "give two shares")
    fails(run("cuhk03", tmp_path / "a", tmp_path / "b", tmp_path / "c", "--boxes", "detected"), "no such file")


def test_occlude(tmp_path: Path, tiny_set: Path) -> None:
    result = run("occlude", "market1501", tiny_set, tmp_path / "out", "--split", "query", "--split", "gallery")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'out'}: 14 images occluded, see {tmp_path / 'out' / 'occluders.csv'}\n"
    assert run("check", "--layout", "synthetic", "--root", tmp_path / "out").exit_code == 0
