import re
from pathlib import Path
from typing import Any

import pytest
from conftest import DEFAULT, ROOT, WriteParams
from pydantic import ValidationError

from hcga.errors import InputError
from hcga.params import Params, load_params

CHAIN = {"r1": {"prev": "init", "until_epoch": 4}, "r2": {"prev": "r1", "until_epoch": 8}}


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_params(path)
    return str(caught.value)


def rounds(**changes: Any) -> dict[str, Any]:
    return {"rounds": CHAIN | changes}


@pytest.mark.parametrize("path", sorted((ROOT / "params").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_files_of_the_repository_are_valid(path: Path) -> None:
    assert isinstance(load_params(path), Params)


def test_values_arrive(write_params: WriteParams) -> None:
    params = load_params(write_params({"seed": 5, "coparse.borders": [0.25, 1], "rounds": CHAIN}))
    assert params.seed == 5
    assert params.coparse.borders == (0.25, 1.0)
    assert [(name, r.prev, r.until_epoch) for name, r in params.rounds.items()] == [("r1", "init", 4), ("r2", "r1", 8)]


@pytest.mark.parametrize(
    "changes",
    [
        {"gam.t": None},
        {"gam.t": 1.01},
        {"synthetic": None},
        {"part_classes": 8},
        {"part_classes": 2, "coparse.borders": []},
        {"part_classes": 5, "coparse.borders": [0.5, 1.5, 2.5]},
        {"part_classes": 5, "coparse.split": "equal"},
        {"coparse.source": "none", "evaluate.features": "I"},
        {"coparse.workers": 3},
        {"datasets.main.truth": None},
        {"prepare.validation": 0.2},
        {"train.milestones": []},
        {"train.warmup_epochs": 0},
        {"image.height": 256, "image.width": 128},
        {"rounds": {"start": {"prev": "init", "until_epoch": 0}, "then": {"prev": "start", "until_epoch": 1}}},
    ],
    ids=str,
)
def test_what_is_possible_is_accepted(write_params: WriteParams, changes: dict[str, Any]) -> None:
    load_params(write_params(changes))


def test_an_empty_value_is_null(write_params: WriteParams) -> None:
    path = write_params({})
    text = DEFAULT.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^  t: \S+", "  t:", text), encoding="utf-8")
    assert load_params(path).gam.t is None


@pytest.mark.parametrize(
    ("changes", "field", "found", "remedy"),
    [
        # unknown keys: the nearest name, or all names where none is near
        ({"coparse.iteration": 3}, "coparse.iteration", "unknown key", "did you mean 'iterations'?"),
        ({"synthetic.camera": 3}, "synthetic.camera", "unknown key", "did you mean 'cameras'?"),
        ({"sed": 3}, "sed", "unknown key", "did you mean 'seed'?"),
        ({"gam.zzz": 3}, "gam.zzz", "unknown key", "known: t"),
        (
            rounds(r2={"prev": "r1", "until_epoch": 8, "until": 8}),
            "rounds.r2.until",
            "unknown key",
            "did you mean 'until_epoch'?",
        ),
        # missing keys
        ({"coparse.local_weight": 1e300}, "coparse.local_weight", "1e+300", "less than or equal to 1000000000"),
        ({"coparse.learning_rate": 1e300}, "coparse.learning_rate", "1e+300", "less than or equal to 1000000000"),
        ({"train.margin": ...}, "train.margin", "missing", "copy the line from the params.yaml"),
        ({"evaluate": ...}, "evaluate", "missing", "copy the line from the params.yaml"),
        (rounds(r2={"prev": "r1"}), "rounds.r2.until_epoch", "missing", "copy the line"),
        # wrong types: nothing is converted
        ({"seed": "1"}, "seed", "'1' (str)", "integer"),
        ({"seed": 1.0}, "seed", "1.0 (float)", "integer"),
        ({"seed": True}, "seed", "True (bool)", "integer"),
        ({"seed": None}, "seed", "None (NoneType)", "integer"),
        ({"train.flip": "half"}, "train.flip", "'half' (str)", "number"),
        ({"backbone.attention": 1}, "backbone.attention", "1 (int)", "boolean"),
        ({"train.milestones": 40}, "train.milestones", "40 (int)", "list"),
        ({"train.milestones": [40, "x"]}, "train.milestones.1", "'x' (str)", "integer"),
        ({"datasets.main.root": 3}, "datasets.main.root", "3 (int)", "string"),
        ({"coparse": 3}, "coparse", "3 (int)", "dictionary"),
        ({"coparse.borders": 3}, "coparse.borders", "3 (int)", "tuple"),
        ({"rounds": ["r1"]}, "rounds", "['r1']", "rounds map names such as r1"),
        # impossible values
        ({"part_classes": 1}, "part_classes", "1 (int)", "greater than or equal to 2"),
        ({"gam.t": 0}, "gam.t", "0 (int)", "greater than 1"),
        ({"gam.t": 1}, "gam.t", "1 (int)", "greater than 1"),
        ({"gam.t": float("inf")}, "gam.t", "inf (float)", "finite"),
        ({"image.height": 130}, "image.height", "130 (int)", "multiple of 32"),
        ({"image.width": 48}, "image.width", "48 (int)", "multiple of 32"),
        ({"image.width": 0}, "image.width", "0 (int)", "greater than or equal to 32"),
        ({"datasets.main.layout": "market"}, "datasets.main.layout", "'market' (str)", "'market1501'"),
        ({"datasets.main.splits": ["val"]}, "datasets.main.splits.0", "'val' (str)", "'query'"),
        ({"datasets.main.splits": []}, "datasets.main.splits", "[] (list)", "at least 1 item"),
        ({"datasets.main.rot": "x"}, "datasets.main.rot", "unknown key", "did you mean 'root'?"),
        ({"datasets.main": "x"}, "datasets.main", "'x'", "layout: ..."),
        ({"datasets": {}}, "datasets", "{}", "layout: ..."),
        ({"synthetic.width": 300}, "synthetic", "width (300)", "must be at most twice the height (128)"),
        ({"synthetic.distractors": 20_000}, "synthetic.distractors", "20000 (int)", "less than or equal to 9999"),
        ({"prepare.on_bad_image": "stop"}, "prepare.on_bad_image", "'stop' (str)", "'skip'"),
        ({"datasets.main.root": "~/x"}, "datasets.main.root", "'~/x'", "write the path in full"),
        ({"datasets.main.truth": "masks/v1"}, "datasets.main.truth", "'masks/v1'", "pattern"),
        ({"datasets.main.truth": ".."}, "datasets.main.truth", "'..'", "pattern"),
        ({"datasets.main.truth": ""}, "datasets.main.truth", "''", "pattern"),
        ({"datasets.main.root": ""}, "datasets.main.root", "'' (str)", "at least 1 character"),
        ({"prepare.validation": 1.0}, "prepare.validation", "1.0 (float)", "less than 1"),
        ({"device": "gpu"}, "device", "'gpu' (str)", "'auto', 'cpu', 'cuda' or 'mps'"),
        ({"coparse.window": 4}, "coparse.window", "4 (int)", "3 or 5"),
        ({"coparse.norm": 0}, "coparse.norm", "0 (int)", "1 or 2"),
        ({"coparse.labels": 256}, "coparse.labels", "256 (int)", "less than or equal to 255"),
        ({"coparse.back_weight": -1.0}, "coparse.back_weight", "-1.0 (float)", "greater than or equal to 0"),
        ({"coparse.learning_rate": float("nan")}, "coparse.learning_rate", "nan (float)", "number"),
        ({"coparse.labels": 32, "coparse.min_labels": 32}, "coparse", "min_labels (32)", "must be below labels (32)"),
        ({"coparse.borders": [2.0, 0.5]}, "coparse", "borders [2.0, 0.5]", "must increase"),
        ({"coparse.borders": [0.5]}, "coparse.borders", "1 entries", "part_classes = 4 needs 2"),
        (
            {"processes": 3},
            "processes",
            "is 3",
            "a batch of 64 images (train.identities x train.images) cannot be shared",
        ),
        (
            {"part_classes": 5, "coparse.borders": [0.5, 2.0]},
            "coparse.borders",
            "2 entries",
            "part_classes = 5 needs 3; or set it to null, or coparse.split to equal",
        ),
        ({"train.identities": 1}, "train.identities", "1 (int)", "greater than or equal to 2"),
        ({"train.images": 1}, "train.images", "1 (int)", "greater than or equal to 2"),
        ({"train.erasing": 1.5}, "train.erasing", "1.5 (float)", "less than or equal to 1"),
        ({"train.label_smoothing": 1.0}, "train.label_smoothing", "1.0 (float)", "less than 1"),
        (
            {"synthetic.query_occlusion": -0.1},
            "synthetic.query_occlusion",
            "-0.1 (float)",
            "greater than or equal to 0",
        ),
        ({"evaluate.features": "P+F"}, "evaluate.features", "'P+F' (str)", "'F+P'"),
        ({"evaluate.similarity": "cosine"}, "evaluate.similarity", "'cosine' (str)", "'paper', 'authors' or 'mean'"),
        (
            {"coparse.source": "none", "evaluate.features": "F+P"},
            "evaluate.features",
            "'F+P'",
            "set evaluate.features to I",
        ),
        # rounds
        (rounds(r2={"prev": "r9", "until_epoch": 8}), "rounds.r2.prev", "'r9'", "no such round; known: init, r1, r2"),
        (rounds(r2={"prev": "init", "until_epoch": 8}), "rounds.r2.prev", "'init'", "must be 'r1'"),
        (rounds(r1={"prev": "r2", "until_epoch": 4}), "rounds.r1.prev", "'r2'", "must be 'init'"),
        (rounds(r2={"prev": "r2", "until_epoch": 8}), "rounds.r2.prev", "'r2'", "must be 'r1'"),
        (rounds(r2={"prev": "r1", "until_epoch": 4}), "rounds.r2.until_epoch", "is 4", "must be more than 4"),
        (rounds(r2={"prev": "r1", "until_epoch": 3}), "rounds.r2.until_epoch", "is 3", "must be more than 4"),
        (
            rounds(r1={"prev": "init", "until_epoch": -1}),
            "rounds.r1.until_epoch",
            "-1 (int)",
            "greater than or equal to 0",
        ),
        (rounds(init={"prev": "r2", "until_epoch": 12}), "rounds.init", "the name init", "rename it"),
        ({"rounds": {}}, "rounds", "{}", "rounds map names such as r1"),
        ({"rounds": {1: {"prev": "init", "until_epoch": 1}}}, "rounds.1", "1 (int)", "string"),
        ({"rounds": {"a b": {"prev": "init", "until_epoch": 1}}}, "rounds.a b", "'a b' (str)", "match pattern"),
        ({"rounds": {"1": {"prev": "init", "until_epoch": 1}}}, "rounds.1", "'1' (str)", "match pattern"),
    ],
)
def test_a_bad_input_is_named_with_file_field_value_and_remedy(
    write_params: WriteParams, changes: dict[str, Any], field: str, found: str, remedy: str
) -> None:
    path = write_params(changes)
    head, *problems = message(path).splitlines()
    assert head == f"{path}: 1 problem(s)"
    (problem,) = problems
    assert f"  {field}" in problem
    assert found in problem
    assert remedy in problem


def test_all_problems_are_listed_at_once(write_params: WriteParams) -> None:
    changes = {"gam.t": 0, "train.flp": 0.5, "train.flip": ..., "image.height": 100, "seed": "x"}
    head, *problems = message(write_params(changes)).splitlines()
    assert head.endswith(": 5 problem(s)")
    assert [problem.split(":")[0].strip() for problem in problems] == [
        "seed",
        "image.height",
        "gam.t",
        "train.flip",
        "train.flp",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "holds NoneType, not a mapping"),
        (b"# nothing but a comment\n", "holds NoneType, not a mapping"),
        (b"- 1\n- 2\n", "holds list, not a mapping"),
        (b"seed: [1\n", "is not valid YAML"),
        (b"seed: 1\n  device: cpu\n", "is not valid YAML"),
        (b"seed: 1\nseed: 2\n", "is not valid YAML"),
        (b"\xff\xfe\x00\x01\xd8", "is not valid YAML"),
        (b"seed: !!python/object:os.system x\n", "is not valid YAML"),
    ],
    ids=str,
)
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert message(path).startswith(f"{path} {expected}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    assert message(path) == f"{path}: no such file; run from the folder that holds params.yaml"


def test_params_cannot_be_changed_later(default_params: Params) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        default_params.gam.t = 2.0
