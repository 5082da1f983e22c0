"""Nothing that could run code of a file is called: seen by walking the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("hcga", "pipeline", "benchmarks")
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__", "importlib.import_module", "ruamel.yaml.load", "ruamel.yaml.load_all"}
CALLS |= {"torch.jit.load", "torch.hub.load", "torch.export.load", "torch.package.PackageImporter"}
OPTIONS = {"shell", "allow_pickle", "weights_only"}  # not hidden in a dictionary either
ATTRIBUTES = {  # called on whatever
    *(
        "system",
        "popen",
        "extract",
        "extractall",
        "unpack_archive",
        "read_pickle",
        "to_pickle",
        "read_hdf",
        "read_sql",
        "read_html",
    ),
    *("spawnl", "spawnv", "execl", "execv", "getoutput", "getstatusoutput", "unsafe_load", "full_load", "load_all"),
}
ATTRIBUTES_OF_TABLES = {"eval", "query"}  # of pandas: an expression in text; torch's eval() has no argument


def dangers(source: str) -> list[str]:
    """List what source code may not do, each with its line."""
    found = []
    tree = ast.parse(source)
    meant = _imported(tree)
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        found += [(node, name) for name in names if name in MODULES or name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom):
            taken = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node, name) for name in taken if _taken(name)]
        if isinstance(node, ast.Call) and (what := _danger_of(node, meant)):
            found.append((node, what))
        if isinstance(node, ast.Dict):
            found += [(key, f"{key.value} in a dictionary") for key in node.keys if _names(key, OPTIONS)]
        if isinstance(node, ast.keyword) and node.arg == "typ" and not _is(node.value, "safe"):
            found.append((node.value, "another YAML than the safe one"))
    return [f"line {node.lineno}: {what}" for node, what in found]


def _imported(tree: ast.Module) -> dict[str, str]:
    """What imported names mean: `np` is numpy, and after `from torch import load as x` x is torch.load."""
    meant = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            meant |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            meant |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return meant


def _danger_of(call: ast.Call, meant: dict[str, str]) -> str | None:
    first, dot, rest = ast.unparse(call.func).partition(".")
    name = meant.get(first, first) + dot + rest
    last, options = name.rpartition(".")[2], {option.arg: option.value for option in call.keywords}
    if "shell" in options and not _is(options["shell"], False):
        return f"{name} with shell"
    if "allow_pickle" in options and not _is(options["allow_pickle"], False):
        return f"{name} with allow_pickle"
    if name in ("np.load", "numpy.load", "numpy.lib.format.read_array") and "allow_pickle" not in options:
        return f"{name} without allow_pickle=False"
    if name == "torch.load" and not _is(options.get("weights_only"), True):
        return f"{name} without weights_only=True"
    if name == "os.execv" and ast.unparse(call.args[0]) == "sys.executable":  # this Python anew, without a shell
        return None
    if name in CALLS or _taken(name) or (last in ATTRIBUTES_OF_TABLES and call.args):
        return name
    return None


def _taken(name: str) -> bool:
    """Whether a dotted name ends in one that is dangerous; our own are not."""
    return "." in name and name.rpartition(".")[2] in ATTRIBUTES and not name.startswith("hcga.")


def _names(node: ast.AST | None, names: set[str]) -> bool:
    return isinstance(node, ast.Constant) and node.value in names


def _is(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    found = {str(file.relative_to(ROOT)): dangers(file.read_text(encoding="utf-8")) for file in files}
    assert {file: what for file, what in found.items() if what} == {}


def test_torch_loads_in_one_place_only_and_tensors_only() -> None:
    """For weights of timm models, which may be files of PyTorch; `weights_only` refuses all but tensors."""
    users = [file.name for file in (ROOT / "hcga").rglob("*.py") if "torch.load" in file.read_text(encoding="utf-8")]
    assert users == ["backbone.py"]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "import cPickle as harmless",
        "import dill",
        "import yaml",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=safe)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.lib.format.read_array(file, allow_pickle=wanted)",
        "pd.read_pickle(path)",
        "from pandas import read_pickle",
        "table.eval('a + b')",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=wanted)",
        "os.system(text)",
        "from os import system",
        "os.execv('/bin/sh', arguments)",
        "tarfile.open(path).extractall(folder)",
        "zipfile.ZipFile(path).extractall()",
        "shutil.unpack_archive(path)",
        "YAML(typ='unsafe').load(path)",
        "YAML(typ=kind)",
        "from torch import load; load(path)",
        "from torch import load as read; read(path)",
        "import torch as t; t.load(path)",
        "import numpy as n; n.load(path)",
        "import torch; torch.jit.load(path)",
        "from torch import hub; hub.load(name)",
        "import importlib; importlib.import_module('pickle')",
        "from importlib import import_module; import_module(name)",
        "run(text, **{'shell': True})",
        "from ruamel import yaml; yaml.load(text)",
        "ZipFile(path).extract(name)",
    ],
)
def test_each_of_these_would_be_found(source: str) -> None:
    assert dangers(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, map_location='cpu', weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "network.eval()",
        "YAML(typ='safe').load(path)",
        "YAML()",
        "subprocess.run(['git', name], shell=False)",
    ],
)
def test_these_are_harmless(source: str) -> None:
    assert dangers(source) == []
