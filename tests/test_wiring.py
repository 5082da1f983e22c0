import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import ROOT
from imports import NEUTRAL, modules_used
from stages import DVC, PARAMS, Stage, resolve, templates

from hcga.params import Params
from hcga.runs.stage import ELSEWHERE

ONCE = ["check", "synthesise", "prepare", "translate", "initialise", "report"]
EACH = ["extract", "coparse", "draw", "train", "embed", "evaluate"]
VERBS = [*ONCE, "catalogue", *EACH]
OF_ROUNDS = ("cmc", "embeddings", "history", "identities", "masks", "metrics", "rankings")
FOLDERS = {f"data/{name}" for name in ("catalogues", *OF_ROUNDS)}
COMMITTED = {"data/external", "data/repairs"}  # what people put there
ORDER_ONLY = {
    "data/checked.txt",
    "params.yaml",
    "${item.root}",
    "${external.root}",
}  # deps that no option of the command names


def options(stage: Stage) -> dict[str, str]:
    """Return what the command gives to each option."""
    assert stage.cmd[:2] == ["python", f"pipeline/{stage.verb}.py"]
    given = stage.cmd[2:]
    assert all(name.startswith("--") for name in given[::2])
    return {name.removeprefix("--"): value for name, value in zip(given[::2], given[1::2], strict=True)}


def sections_of(verb: str) -> list[str]:
    """Read the arguments of a script's `@stage(...)`, without running it."""
    tree = ast.parse((ROOT / "pipeline" / f"{verb}.py").read_text(encoding="utf-8"))
    (call,) = [
        node
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for node in function.decorator_list
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "stage"
    ]
    return [ast.literal_eval(argument) for argument in call.args]


def sections_used(verb: str) -> set[str]:
    """Find which attributes of `params` a script looks at."""
    tree = ast.parse((ROOT / "pipeline" / f"{verb}.py").read_text(encoding="utf-8"))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }


def has_code(path: str) -> bool:
    """Tell whether a module holds more than a docstring."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


@cache
def command(verb: str) -> click.Command:
    """Import a stage script; its `main`."""
    spec = importlib.util.spec_from_file_location(f"pipeline_{verb}", ROOT / "pipeline" / f"{verb}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert isinstance(module.main, click.Command)
    return module.main


def chain(*rounds: str) -> dict[str, dict[str, Any]]:
    previous = ["init", *rounds]
    return {name: {"prev": previous[i], "until_epoch": 4 * (i + 1)} for i, name in enumerate(rounds)}


def upstream(stages: dict[str, Stage], name: str) -> set[str]:
    """Return all stages that a stage hangs on."""
    made_by = {out: other for other, stage in stages.items() for out in stage.outs}
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for dep in stages[waiting.pop()].deps:
            makers = {maker for out, maker in made_by.items() if dep == out or out.startswith(f"{dep}/")}
            waiting += makers - found
            found |= makers
    return found


@pytest.fixture(params=[chain("r1", "r2", "r3"), chain("r1", "r2"), chain("r1", "r2", "r3", "r4")], ids=len)
def rounds(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return request.param


def test_the_stages_are_those_of_the_design() -> None:
    assert list(PARAMS["rounds"]) == ["r1", "r2", "r3"]
    rounds = [f"{verb}@{key}" for verb in EACH for key in ("r1", "r2", "r3")]
    expected = ["report", "check", "synthesise", "catalogue@main", "prepare", "translate", "initialise", *rounds]
    assert list(resolve(PARAMS["rounds"])) == expected
    assert len(expected) == 25
    assert [verb for verb, entry in DVC["stages"].items() if entry.get("foreach") == "${rounds}"] == EACH


def test_dvc_itself_finds_the_same_stages_deps_and_outputs(workspace_folder: Path) -> None:
    from dvc.repo import Repo

    with Repo(str(workspace_folder), uninitialized=True) as repo:
        found = {
            stage.name: (
                {Path(dep.def_path).as_posix() for dep in stage.deps if type(dep).__name__ == "Dependency"},
                {Path(out.def_path).as_posix() for out in stage.outs},
            )
            for stage in repo.index.stages
        }
    expected = {name: (set(stage.deps), set(stage.outs)) for name, stage in resolve(PARAMS["rounds"]).items()}
    assert found == expected


def test_each_dependency_below_data_is_an_output(rounds: dict[str, dict[str, Any]]) -> None:
    stages = resolve(rounds)
    made = {out for stage in stages.values() for out in stage.outs}
    for name, stage in stages.items():
        for dep in stage.deps:
            if dep in FOLDERS:  # a folder of one file a data set or round
                keys = PARAMS["datasets"] if name == "prepare" else rounds
                assert {f"{dep}/{key}" for key in keys} <= {str(Path(out).with_suffix("")) for out in made}, dep
            elif dep.startswith("data/") and dep not in COMMITTED:
                assert dep in made, (name, dep)
            else:
                assert (ROOT / dep).exists(), (name, dep)


def test_no_two_stages_write_the_same(rounds: dict[str, dict[str, Any]]) -> None:
    outs = [out for stage in resolve(rounds).values() for out in stage.outs]
    assert len(outs) == len(set(outs))
    assert not [(a, b) for a in outs for b in outs if Path(a) in Path(b).parents]


def test_a_round_hangs_on_the_rounds_before_it_only(rounds: dict[str, dict[str, Any]]) -> None:
    stages = resolve(rounds)
    for number, key in enumerate(rounds):
        allowed = set(list(rounds)[: number + 1])
        for verb in EACH:
            above = {name.partition("@")[2] for name in upstream(stages, f"{verb}@{key}")} - {"", *PARAMS["datasets"]}
            assert above <= allowed
            if verb == "train":
                assert above == allowed
    later = [stages[f"{verb}@{key}"] for verb in EACH for key in list(rounds)[1:]]
    assert not [dep for stage in later for dep in stage.deps if Path(dep).stem == "init"]


def test_what_an_ablation_leaves_alone() -> None:
    stages = resolve(PARAMS["rounds"])
    assert not {name for name in upstream(stages, "extract@r1") if name.partition("@")[0] in EACH}
    assert not {name for name in upstream(stages, "initialise") if name.partition("@")[0] in EACH}
    for name in stages:
        matching = {above for above in upstream(stages, name) if above.startswith(("evaluate", "embed"))}
        assert not matching or name.startswith(("evaluate", "report")), name


@pytest.mark.parametrize("verb", VERBS)
def test_dvc_lists_the_params_that_the_script_reads(verb: str) -> None:
    listed = templates()[verb].params
    assert listed == sorted(set(listed)), "in alphabetical order"
    assert sorted(sections_of(verb)) == listed
    assert sections_used(verb) - set(ELSEWHERE) == set(listed) - set(ELSEWHERE)


def test_where_a_stage_computes_makes_none_run_again_but_the_check() -> None:
    """Whose output never changes."""
    assert [verb for verb in VERBS if set(ELSEWHERE) & set(templates()[verb].params)] == ["check"]
    assert {verb for verb in VERBS if set(ELSEWHERE) & sections_used(verb)} == {"check", "extract", "coparse", "embed"}


def test_each_section_of_params_is_listed_by_a_stage() -> None:
    listed = {section for stage in templates().values() for section in stage.params}
    assert listed == set(PARAMS) == set(Params.model_fields)


@pytest.mark.parametrize("verb", VERBS)
def test_deps_name_the_modules_that_the_script_uses(verb: str) -> None:
    listed = set()
    for dep in templates()[verb].deps:
        if dep.startswith("hcga/"):
            files = [ROOT / dep] if dep.endswith(".py") else (ROOT / dep).rglob("*.py")
            listed |= {path.relative_to(ROOT).as_posix() for path in files}
    used = modules_used(ROOT / "pipeline" / f"{verb}.py")
    assert {path for path in listed - NEUTRAL if has_code(path)} == {path for path in used if has_code(path)}
    assert ("hcga/params.py" in listed) == (verb == "check")


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_names_its_script_and_that_is_a_dependency(verb: str) -> None:
    stage = templates()[verb]
    assert stage.cmd[:2] == ["python", f"pipeline/{verb}.py"]
    assert f"pipeline/{verb}.py" in stage.deps


@pytest.mark.parametrize("verb", VERBS)
def test_paths_of_the_command_are_its_deps_and_outputs(verb: str) -> None:
    stage = templates()[verb]
    given = {value for value in options(stage).values() if value.startswith("data/")}
    files = {dep for dep in stage.deps if not dep.startswith(("hcga/", "pipeline/"))} - ORDER_ONLY
    assert given == files | set(stage.outs)
    assert not files & set(stage.outs)


@pytest.mark.parametrize("verb", VERBS)
def test_options_of_the_command_are_those_of_the_script(verb: str) -> None:
    declared = {option.name: option for option in command(verb).params}
    assert not declared.pop("params_file").required
    given = {name.replace("-", "_"): value for name, value in options(templates()[verb]).items()}
    assert given.keys() == declared.keys()
    assert all(option.required for option in declared.values())
    for name, option in declared.items():
        assert isinstance(option.type, click.Path) == (given[name].startswith("data/") or given[name] == "params.yaml")


def test_what_is_plotted_of_all_rounds_is_in_the_report() -> None:
    tables = {path for plot in DVC["plots"] if isinstance(plot, dict) for body in plot.values() for path in body["y"]}
    pictures = {plot for plot in DVC["plots"] if isinstance(plot, str)}
    assert {Path(path).parent.as_posix() for path in tables | pictures} == set(templates()["report"].outs)


def test_only_dvc_yaml_spells_paths_below_data() -> None:
    for path in [*(ROOT / "hcga").rglob("*.py"), *(ROOT / "pipeline").glob("*.py")]:
        assert "data/" not in path.read_text(encoding="utf-8"), path


def test_nothing_imports_the_pipeline() -> None:
    for path in (ROOT / "hcga").rglob("*.py"):
        assert not {
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipeline")
            or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "pipeline" for alias in node.names))
        }, path


@pytest.mark.parametrize("verb", VERBS)
def test_a_stage_script_is_thin_and_explains_itself(verb: str) -> None:
    text = (ROOT / "pipeline" / f"{verb}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.While)]
    assert command(verb).help


def test_each_script_of_the_pipeline_is_a_stage() -> None:
    assert {path.stem for path in (ROOT / "pipeline").glob("*.py")} == set(DVC["stages"])
