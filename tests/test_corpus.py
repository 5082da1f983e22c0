"""Bad files, each given to the command that people would give it to: refused with its name and what to do."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hcga.cli.main import main

CORPUS = Path(__file__).parent / "corpus"
Bring = Callable[[Path, Path], list[str]]  # from the bad file and a checkout to the arguments of `hcga`


def as_params(file: Path, checkout: Path) -> list[str]:
    shutil.copy(file, checkout / "params.yaml")
    return ["figures"]


def as_table_of_runs(file: Path, checkout: Path) -> list[str]:
    return ["ablate", str(file), "--dry"]


def as_samples(file: Path, checkout: Path) -> list[str]:
    (checkout / "set").mkdir()
    (checkout / "set/a.jpg").touch()
    shutil.copy(file, checkout / "set/samples.csv")
    return ["data", "check", "--layout", "table", "--root", "set"]


def as_list(file: Path, checkout: Path) -> list[str]:
    for folder in ("bounding_box_train", "query", "bounding_box_test", "../outside"):
        (checkout / "set" / folder).mkdir(parents=True, exist_ok=True)
        (checkout / "set" / folder / "0007_c1_f1.jpg").touch()
    for split in ("train", "query", "gallery"):
        shutil.copy(file, checkout / f"set/{split}.list")
    return ["data", "check", "--layout", "occluded_dukemtmc", "--root", "set"]


def as_image(file: Path, checkout: Path) -> list[str]:
    (checkout / "set/train/1").mkdir(parents=True)
    shutil.copy(file, checkout / f"set/train/1/1_{file.name}")
    return ["data", "check", "--layout", "folder", "--root", "set"]


def as_figures(file: Path, checkout: Path) -> list[str]:
    shutil.copy(file, checkout / "data/metrics/r1.json")
    return ["figures"]


def as_archive(file: Path, checkout: Path) -> list[str]:
    return ["data", "cuhk03", str(file), str(file), "new", "--boxes", "detected"]


BAD: dict[str, tuple[Bring, str]] = {
    "params_aliases.yaml": (as_params, r"params\.yaml is not valid YAML: more than 100,000 values"),
    "params_object.yaml": (as_params, r"params\.yaml is not valid YAML: could not determine a constructor for the tag"),
    "params_integer.yaml": (as_params, r"params\.yaml is not valid YAML: invalid literal for int"),
    "params_date.yaml": (as_params, r"params\.yaml is not valid YAML: month must be in"),
    "params_itself.yaml": (as_params, r"params\.yaml is not valid YAML: "),
    "table_open_quote.yaml": (as_table_of_runs, r"table_open_quote\.yaml is not valid YAML: "),
    "table_row_is_a_path.yaml": (as_table_of_runs, r"'\.\./x' becomes part of a name: letters, digits"),
    "samples_absolute.csv": (as_samples, r"samples\.csv: row 1: path '/etc/passwd' must lead from the table's folder"),
    "samples_above.csv": (as_samples, r"samples\.csv: row 1: path '\.\./outside\.jpg' must lead from"),
    "samples_line_end.csv": (as_samples, r"samples\.csv: row 1: path 'a\\nerror: nothing\.jpg' is no plain text"),
    "samples_no_utf8.csv": (as_samples, r"samples\.csv: cannot be read as a table .*write CSV with commas, in UTF-8"),
    "samples_huge_number.csv": (as_samples, r"samples\.csv: row 1: pid '1e400' is not a whole number from -1 to"),
    "train_above.list": (as_list, r"train\.list: '\.\./\.\./outside/.*' does not lead to a file below .*; mend"),
    "train_absolute.list": (as_list, r"train\.list: '/etc/.*' does not lead to a file below .*; mend"),
    "train_no_utf8.list": (as_list, r"train\.list: no text in UTF-8"),
    "postscript.jpg": (as_image, r"1_postscript\.jpg: not an image in a format that is read .*replace it"),
    "huge.png": (as_image, r"1_huge\.png: 60000 x 60000 pixels; .*delete or replace it"),
    "metrics_html.json": (as_figures, r"r1\.json: 'retrieval_rank1' is '<script>.*no figure"),
    "metrics_deep.json": (as_figures, r"r1\.json: no valid JSON .*`dvc repro` writes it anew"),
    "archive.mat": (as_archive, r"archive\.mat: no protocol of CUHK03-NP"),
    "protocol_cut.mat": (as_archive, r"protocol_cut\.mat: no protocol of CUHK03-NP .*may hold the page instead"),
}


def test_each_file_of_the_corpus_is_tried() -> None:
    assert sorted(BAD) == sorted(file.name for file in CORPUS.iterdir())
    assert all(file.stat().st_size < 10_000 for file in CORPUS.iterdir())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_name(
    workspace_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(workspace_folder)
    bring, message = BAD[name]
    done = CliRunner().invoke(main, bring(CORPUS / name, workspace_folder))
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    assert re.search(message, done.output), done.output
