"""`hcga model`, `embed`, `search` and `compare` as a user calls them."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result
from PIL import Image
from trained import new_checkout, new_crops, new_file, new_model, new_weights

from hcga.cli.main import main
from hcga.retrieval.pooling import pool
from hcga.retrieval.ranking import rank
from hcga.retrieval.similarity import similarity
from hcga.runs.staleness import is_stale
from hcga.runs.workspace import Workspace
from hcga.terms import Matched, Seen, Term
from hcga.using.calibration import describe_probability
from hcga.using.model import Model

weights = pytest.fixture(scope="module")(new_weights)
checkout = pytest.fixture(new_checkout)
model = pytest.fixture(new_model)
model_file = pytest.fixture(new_file)
crops = pytest.fixture(new_crops)
Run = Callable[..., Result]


@pytest.fixture
def run(crops: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that calls `hcga` beside the crops and the file of a model, outside of any checkout."""
    monkeypatch.chdir(crops.parent)
    (crops.parent / "home").mkdir()
    model_file.rename(crops.parent / "home/model.safetensors")
    crops.rename(crops.parent / "home/crops")
    monkeypatch.chdir(crops.parent / "home")
    return lambda *arguments: CliRunner().invoke(main, arguments)


def fails(result: Result, *fragments: str) -> None:
    """Check for exit code 1 and one message without a traceback."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert all(fragment in result.stderr for fragment in fragments), result.stderr


MODEL = ("--model", "model.safetensors")


def test_a_round_becomes_one_file_and_says_what_it_is(checkout: Path, tmp_path: Path) -> None:
    target = tmp_path / "one.safetensors"
    done = CliRunner().invoke(main, ["model", "export", "r1", "-o", str(target)])
    assert done.exit_code == 0, done.output
    assert "its card names no licence; say one with --licence" in done.stderr
    text = CliRunner().invoke(main, ["model", "show", str(target)]).stdout
    assert "none was given: ask whoever made this model" in text
    assert Model.load(target).digest[:12] in text
    again = CliRunner().invoke(main, ["model", "export", "r1", "-o", str(target), "--licence", "research only"])
    assert again.stderr == ""
    assert Model.load(target).card.use.licence == "research only"


def test_a_file_becomes_one_that_runs_elsewhere(run: Run) -> None:
    done = run("model", "export", "model.safetensors", "-o", "model.pt2")
    assert done.exit_code == 0, done.output
    digest = Model.load("model.safetensors").digest[:12]
    told, tried = done.stdout.splitlines()
    assert told.startswith(f"model.pt2: model {digest} of model.safetensors; `hcga model show model.pt2` says")
    assert tried == "on images of noise it is off by 0 of the largest value at most"
    assert "its card names no licence" in done.stderr
    assert run("model", "show", "model.pt2").stdout == run("model", "show", "model.safetensors").stdout
    given = run("model", "export", "model.safetensors", "-o", "model.pt2", "--licence", "mine")
    assert (given.exit_code, given.stderr) == (0, "")
    assert "mine" in run("model", "show", "model.pt2").stdout
    assert run("model", "export", "model.safetensors", "-o", "licensed.safetensors", "--licence", "mine").exit_code == 0
    again = run("model", "export", "licensed.safetensors", "-o", "m.pt2", "--licence", "another")
    fails(again, "licensed.safetensors has one")
    Path("licensed.safetensors").unlink()
    fails(run("embed", "crops", "--model", "model.pt2", "-o", "g.zarr"), "model.pt2: is for use without this program")
    fails(run("model", "show", "none.pt2"), "none.pt2: holds no model")
    assert sorted(path.name for path in Path().iterdir()) == ["crops", "model.pt2", "model.safetensors"]


def test_a_stale_round_becomes_no_file(checkout: Path, tmp_path: Path) -> None:
    params = checkout / "params.yaml"
    text = params.read_text("utf-8")
    params.write_text(text.replace("features: F+P", "features: I+F+P"), "utf-8")
    assert is_stale(Workspace(checkout), "evaluate", "r1")
    target = tmp_path / "one.safetensors"
    fails(CliRunner().invoke(main, ["model", "export", "r1", "-o", str(target)]), "are of an earlier run")
    params.write_text(text, "utf-8")
    (checkout / "data/metrics/r1.json").write_text(json.dumps({"epoch": 6, "retrieval": {"rank1": 99.9}}), "utf-8")
    fails(CliRunner().invoke(main, ["model", "export", "r1", "-o", str(target)]), "data/metrics/r1.json: is not what")
    for name in ("one.pt", "nowhere/one.safetensors"):
        wrong = CliRunner().invoke(main, ["model", "export", "r1", "-o", str(tmp_path / name)])
        fails(wrong, "give a name that ends in .safetensors or .onnx or .pt2 in a folder that exists")
    assert not target.exists()


def test_a_model_out_of_any_checkout_is_a_file(run: Run) -> None:
    assert run("model", "show", "model.safetensors").exit_code == 0
    fails(run("model", "show", "r1"), "r1: no file, and as a round of a checkout: ", "no dvc.yaml here or above")


@pytest.mark.parametrize("store", ["g.zarr", "g.parquet"])
def test_from_a_folder_to_ranked_lists(run: Run, store: str) -> None:
    done = run("embed", "crops", *MODEL, "-o", store)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{store}: 7 images embedded by model ")
    for target in ("ranked.png", "ranked.html"):
        found = run("search", "crops/cam1/0.png", "--gallery", store, *MODEL, "--top", "2", "-o", target)
        assert found.exit_code == 0, found.output
        first, note, header, *rows = found.stdout.splitlines()
        assert first.startswith("crops/cam1/0.png")
        assert note == "it is in the gallery itself, and left out there"
        assert header.split()[:3] == ["rank", "similarity", "foreground"]
        assert [row.split()[0] for row in rows[:2]] == ["1", "2"]
        assert rows[-1] == target
    assert Image.open("ranked.png").format == "PNG"
    assert Path("ranked.html").read_text("utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in Path().iterdir()) == sorted(
        ["crops", "model.safetensors", store, "ranked.html", "ranked.png"]
    )


def test_what_cannot_be_shown_is_refused_before_the_search(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("stores").mkdir()
    assert run("embed", "crops", *MODEL, "-o", "stores/g.zarr").exit_code == 0
    monkeypatch.setattr("hcga.using.search.search", lambda *_: pytest.fail("it searches"))
    search = ("search", "crops/cam1", "--gallery", "stores/g.zarr", *MODEL, "-o", "r.html")
    fails(run(*search), "--output r.html: the store does not lie beside its pictures; say --pictures FOLDER")
    monkeypatch.setattr("hcga.using.ranked.MOST", 3)
    monkeypatch.setattr(Model, "embed_files", lambda *_: pytest.fail("it embeds"))
    fails(run(*search), "--output r.html: 4 queries, of which 3 can be shown; name fewer")
    monkeypatch.setattr("hcga.using.ranked.PICTURES", 13)
    fails(
        run(*search, "--one-person"), "--output r.html: 14 images with --top 10, of which 13 can be shown; lower --top"
    )


def test_all_as_csv(run: Run) -> None:
    found = run("search", "crops/cam2", "--gallery", "crops", *MODEL, "--csv")
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert len(rows) == 3 * 6
    assert {row["query"] for row in rows} == {f"crops/cam2/später/{number}.png" for number in (4, 5, 6)}
    ordered = [float(row["similarity"]) for row in rows[:6]]
    assert ordered == sorted(ordered, reverse=True)


def test_a_name_of_a_store_is_one_line_that_no_terminal_obeys(run: Run) -> None:
    assert run("embed", "crops/cam1", *MODEL, "-o", "g.zarr").exit_code == 0
    store = zarr.open_group("g.zarr", mode="r+")
    store.attrs["folder"] = None
    paths: Any = store["paths"]
    paths[0] = np.frombuffer(b"\x1b[2J\n", np.uint8)
    found = run("search", "crops/cam2/später/4.png", "--gallery", "g.zarr", *MODEL)
    assert found.exit_code == 0, found.output
    assert len(found.stdout.splitlines()) == 2 + 4 + 1
    assert r"  \x1b[2J\n" in found.stdout
    assert "\x1b" not in found.stdout


def test_what_is_damaged_is_named_and_skipped_if_asked(run: Run) -> None:
    Path("crops/cam1/1.png").write_bytes(b"no picture")
    Path("crops/notes.txt").write_text("x")
    result = run("embed", "crops", *MODEL, "-o", "g.zarr")
    assert result.exit_code == 1
    assert "Error: " in result.stderr
    assert "cam1/1.png: not an image in a format that is read" in result.stderr
    assert not Path("g.zarr").exists()
    skipped = run("embed", "crops", *MODEL, "-o", "g.zarr", "--on-bad-image", "skip")
    assert skipped.exit_code == 0
    assert "left out: crops/notes.txt: no image\n" in skipped.stderr
    assert "cam1/1.png: not an image" in skipped.stderr
    assert skipped.stdout.startswith("g.zarr: 6 images")
    found = run("search", "crops/cam1", "--gallery", "crops", *MODEL, "--on-bad-image", "skip", "--csv")
    assert found.stderr.count("1.png: not an image") == 2


def test_a_store_of_another_model_is_refused_by_a_search(run: Run, weights: Path) -> None:
    assert run("embed", "crops", *MODEL, "-o", "g.zarr").exit_code == 0
    other = Model.load("model.safetensors", device="cpu")
    gam = other.card.use.gam.model_copy(update={"t": 2.0})
    other.card = other.card.model_copy(update={"use": other.card.use.model_copy(update={"gam": gam})})
    other.save(Path("other.safetensors"))
    found = run("search", "crops/cam2", "--gallery", "g.zarr", "--model", "other.safetensors")
    fails(found, "g.zarr: made by model", "make it anew with `hcga embed`")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("embed", "none", "-o", "g.zarr"), "none: no such file or folder"),
        (("embed", "crops", "-o", "g.txt"), "--output g.txt: give a name that ends in .zarr or .parquet"),
        (("search", "crops/cam1/0.png", "--gallery", "none"), "--gallery none: no such file or folder"),
        (("search", "crops/cam1/0.png", "--gallery", "crops/cam1/0.png"), "0.png: no readable table of embeddings"),
        (("search", "crops", "--gallery", "crops", "-o", "a.gif"), "--output a.gif: give a name that ends in .png"),
        (("search", "crops", "--gallery", "crops", "--pictures", "none"), "--pictures none: no such folder"),
        (("embed", "crops", "-o", "/proc/g.zarr"), "/proc/g.zarr: cannot be written ("),
        (("compare", "crops/cam1/0.png", "none.png"), "none.png: no such file"),
        (("compare", "crops/cam1", "crops/cam1/0.png"), "crops/cam1: a folder; name an image file"),
    ],
)
def test_mistakes_are_one_message(run: Run, arguments: tuple[str, ...], message: str) -> None:
    fails(run(*arguments, *MODEL), message)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            "model export",
            ["[REV:]ROUND|REV|FILE", "--licence", ".onnx and .pt2", "figures are of an earlier run is refused"],
        ),
        ("model show", ["FILE", "HEAD:r3"]),
        ("model calibrate", ["--people", "neither have trained the model nor test it"]),
        ("embed", ["FOLDER|FILE...", ".zarr or .parquet", "docs/privacy.md"]),
        ("search", ["QUERY...", "--gallery", "--top", ".png or .html", "--on-bad-image"]),
        ("compare", ["FIRST SECOND", "which parts both show"]),
    ],
)
def test_help_says_what_each_command_does(command: str, told: list[str]) -> None:
    text = " ".join(CliRunner().invoke(main, [*command.split(), "--help"]).output.split())
    assert [fragment for fragment in told if fragment not in text] == []


def draw_people(root: Path) -> None:
    """Draw six people with a query at one camera and gallery images at two, each a pattern with some noise."""
    rng = np.random.default_rng(1)
    for pid in range(1, 7):
        pattern = rng.integers(0, 200, (4, 2, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        for name in ("query/{}/1_a.png", "gallery/{}/1_b.png", "gallery/{}/2_c.png", "gallery/{}/2_d.png"):
            file = root / name.format(pid)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pattern + rng.integers(0, 50, pattern.shape, np.uint8)).save(file)


def pid_of(file: Path) -> str:
    return file.parent.name


def camera_of(file: Path) -> str:
    return file.name[0]


def test_a_model_is_tested_on_people_of_ones_own(run: Run) -> None:
    for command in (["test"], ["calibrate", "-o", "c.safetensors"]):
        nowhere = run("model", *command, "model.safetensors", "--people", "nowhere")
        fails(nowhere, "Error: --people nowhere: no such folder; name one with query/12/1_a.jpg")
    draw_people(Path("people"))
    with Path("people/query/1/1_bad.png").open("wb"):
        pass
    for command in (["test"], ["calibrate", "-o", "c.safetensors"]):
        words = ("model", *command, "model.safetensors", "--people", "people")
        fails(run(*words), "people/query/1/1_bad.png")
        done = run(*words, "--on-bad-image", "skip")
        assert done.exit_code == 0, done.output
        assert "people/query/1/1_bad.png" in done.stderr
    skipped = run("model", "test", "model.safetensors", "--people", "people", "--csv", "--on-bad-image", "skip")
    Path("people/query/1/1_bad.png").unlink()
    done = run("model", "test", "model.safetensors", "--people", "people", "--csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == skipped.stdout
    figures = {row["figure"]: float(row["value"]) for row in csv.DictReader(io.StringIO(done.stdout))}
    assert (figures["queries"], figures["gallery"], figures["invalid_queries"]) == (6, 18, 0)
    assert (figures["positive_pairs"], figures["negative_pairs"]) == (12, 6 * 15)
    model = Model.load("model.safetensors", device="cpu")
    files = {split: sorted(Path("people", split).rglob("*.png")) for split in ("query", "gallery")}
    embedded = [model.embed_files(files[split]).embedded for split in files]
    pids, camids = ([[int(label(file)) for file in of] for of in files.values()] for label in (pid_of, camera_of))
    ranking = rank(model.similarity(*embedded), *pids, *camids)
    assert figures["rank1"] == pytest.approx(100 * ranking.cmc[0])
    assert figures["mAP"] == pytest.approx(100 * ranking.mean_ap, abs=1e-3)
    text = run("model", "test", "model.safetensors", "--people", "people").stdout.splitlines()
    assert text[0].split() == ["queries", "6"]
    assert f"{figures['mAP']:.1f} %" in next(line for line in text if line.startswith("mAP "))
    for file in Path("people/gallery").rglob("2_*"):
        file.unlink()
    fails(
        run("model", "test", "model.safetensors", "--people", "people"),
        "6 of 6 queries have no gallery image of their identity",
    )


def test_a_calibrated_model_says_how_likely_it_is(run: Run) -> None:
    draw_people(Path("people"))
    fails(run("compare", "crops/cam1/0.png", "crops/cam1/1.png", *MODEL, "--prior", "0.1"), "has no calibration")
    fails(run("search", "crops", "--gallery", "crops", *MODEL, "--prior", "0.1"), "has no calibration")
    wrong = run("model", "calibrate", "model.safetensors", "--people", "crops", "-o", "c.safetensors")
    fails(wrong, "crops/cam1: would not be read; the layout folder has train, query, gallery")
    done = run("model", "calibrate", "model.safetensors", "--people", "people", "-o", "c.safetensors")
    assert done.exit_code == 0, done.output
    calibration = Model.load("c.safetensors", device="cpu").calibration
    assert calibration.source == "of a folder"
    assert f"{calibration.same} pairs of one person" in done.stdout
    assert f"{calibration.same} pairs of one person" in run("model", "show", "c.safetensors").stdout
    assert "no: similarities order, no more" in run("model", "show", "model.safetensors").stdout

    pair = ("compare", "crops/cam1/0.png", "crops/cam1/1.png", "--model", "c.safetensors")
    alike = float(run(*pair).stdout.split()[1])
    told = {
        prior: float(run(*pair, "--prior", prior).stdout.split("probability ")[1].split()[0])
        for prior in ("0.5", "0.05")
    }
    even = run(*pair).stdout
    assert told["0.5"] == float(even.split("probability ")[1].split()[0])
    assert "of one person, at even odds, as no --prior was given" in even
    for prior, probability in told.items():
        assert probability == pytest.approx(float(calibration.probability(alike, float(prior))), abs=2e-3)

    assert run("embed", "crops", *MODEL, "-o", "g.zarr").exit_code == 0  # by the model before it was calibrated
    search = ("search", "crops/cam1/0.png", "--gallery", "g.zarr", "--model", "c.safetensors")
    rows = list(csv.DictReader(io.StringIO(run(*search, "--csv", "--prior", "0.1").stdout)))
    for row in rows:
        wanted = calibration.probability(float(row["similarity"]), 0.1)
        assert float(row["probability"]) == pytest.approx(float(wanted), abs=1e-5)
        assert float(row["prior"]) == 0.1
    rare = "1.2345678e-07"
    rows = list(csv.DictReader(io.StringIO(run(*search, "--csv", "--prior", rare).stdout)))
    assert {row["prior"] for row in rows} == {rare}
    likely = [float(row["probability"]) for row in rows]
    wanted = calibration.probability([float(row["similarity"]) for row in rows], float(rare))
    assert likely == pytest.approx(wanted.tolist(), rel=1e-3)
    table = run(*search, "--prior", rare).stdout.splitlines()[5:]
    assert [line.split()[2] for line in table if line] == [*map(describe_probability, likely)]
    assert run(*search, "-o", "r.png").exit_code == 0
    rows = list(csv.DictReader(io.StringIO(run(*search, "--csv", "-o", "r.html").stdout)))
    page = Path("r.html").read_text("utf-8")
    likely = [describe_probability(float(row["probability"])) for row in rows]
    assert re.findall("<span>probability (.*?)</span>", page) == likely
    assert "the same person, at even odds, as no --prior was given." in page
    assert "it is no probability" not in page
    assert run(*search, "-o", "r.html", "--prior", "0.01").stdout.startswith(
        "probability of the same person at a prior of 0.01\n"
    )
    assert "the same person, at a prior of 0.01." in Path("r.html").read_text("utf-8")
    many = ("search", "crops/cam1", "--gallery", "g.zarr", "--model", "c.safetensors", "--one-person")
    assert "probability" not in run(*many, "-o", "r.html", "--csv").stdout
    assert "it is no probability" in Path("r.html").read_text("utf-8")
    fails(run(*many, "--prior", "0.1"), "several images of one person have no probability")


def test_several_images_of_one_person_are_one_query(run: Run) -> None:
    found = run("search", "crops/cam1", "--gallery", "crops", *MODEL, "--csv", "--one-person", "-o", "r.html")
    assert found.exit_code == 0, found.output
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert {row["query"] for row in rows} == {" ".join(f"crops/cam1/{number}.png" for number in range(4))}
    assert {Path(row["image"]).parent.name for row in rows} == {"später"}, "what asks is left out"
    model = Model.load("model.safetensors", device="cpu")
    asked = model.embed_files([Path(f"crops/cam1/{number}.png") for number in range(4)]).embedded
    gallery = model.embed_files([Path("crops") / row["image"] for row in rows]).embedded
    matching = model.card.use.matching
    pooled = pool(asked.compared_by(matching), np.zeros(4, int))
    wanted = similarity(pooled, gallery.compared_by(matching), matching.features, matching.similarity)
    assert [float(row["similarity"]) for row in rows] == pytest.approx(wanted[0].tolist(), abs=1e-5)
    page = Path("r.html").read_text("utf-8")
    assert page.count('alt="the query"') == 4
    assert "<h2>0.png and 3 more images of one person</h2>" in page
    text = run("search", "crops/cam1", "--gallery", "crops", *MODEL, "--one-person", "-o", "r.png").stdout
    assert "4 of them are in the gallery itself, and left out there" in text


def test_two_crops_are_compared_part_by_part(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run("compare", "crops/cam1/0.png", "crops/cam1/1.png", *MODEL)
    assert found.exit_code == 0, found.output
    model = Model.load("model.safetensors", device="cpu")
    one, other = (model.embed_files([Path(f"crops/cam1/{number}.png")]).embedded for number in (0, 1))
    wanted = model.compare(one, other)
    assert found.stdout.startswith(f"similarity  {wanted.similarity[0, 0]:.3f}  (F+P, paper)\n")
    rows = [line.split("  ")[0] for line in found.stdout.splitlines()[3:]]
    assert rows == list(wanted.features)
    seen = [
        [Seen("head", 1.0, False), Seen("lower body", 1.0, True)],
        [Seen("head", 1.0, False), Seen("upper body", 0.4, False)],
    ]
    terms = [Term("foreground", 0.5, 1, 0), Term("head", 0.25, 0.5, 0), Term("upper body", 0.1, 0, 0)]
    told = Matched(seen, [[*terms, Term("lower body", 1.0, 0.0, 1)]])
    monkeypatch.setattr(Model, "match", lambda *_: told)
    lines = run("compare", "crops/cam1/0.png", "crops/cam1/1.png", *MODEL).stdout.splitlines()
    assert [line.split() for line in lines[3:]] == [
        ["foreground", "0.500"],
        ["head", "0.250", "both"],
        ["upper", "body", "-", "neither"],
        ["lower", "body", "-", "crops/cam1/0.png", "alone"],
    ]
    assert np.isfinite(wanted.similarity).all()
