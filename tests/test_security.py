"""Nothing that could run code of a file is called or handed on: seen by walking the source."""

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("hcga", "pipeline", "benchmarks")
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml"}
NAMES = {"eval", "exec", "compile", "__import__", "importlib.import_module", "pty.spawn"}
NAMES |= {"ruamel.yaml.load", "ruamel.yaml.load_all"}
OF_PACKAGES = {  # wherever in them it is offered
    "torch": {"load", "load_url", "load_state_dict_from_url", "PackageImporter"},
    "numpy": {"load", "read_array"},
}
PROCESSES = ("exec", "spawn", "posix_spawn", "system", "popen")  # beginnings of names of os
SHELLS = {"sh", "bash", "dash", "ksh", "zsh", "csh", "tcsh", "fish", "cmd.exe", "powershell"}
OPTIONS = {"shell", "allow_pickle", "weights_only"}  # not hidden in a dictionary either
ATTRIBUTES = {  # of whatever
    *("system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"),
    *("extract", "extractall", "unpack_archive"),
    *("read_pickle", "to_pickle", "read_hdf", "read_sql", "read_html"),
    *("unsafe_load", "full_load", "load_all"),
}
ATTRIBUTES_OF_TABLES = {"eval", "query"}  # of pandas: an expression in text; torch's eval() has no argument
USUAL = {"np": "numpy", "pd": "pandas"}
TENSORS, PYTHON, SHELL = "torch.load of tensors alone", "os.execv of this Python", "a shell"
ALLOWED = {
    "hcga/network/backbone.py": {TENSORS},  # weights of timm models, which may be files of PyTorch
    "hcga/training/distributed.py": {PYTHON},
    "hcga/verification/rerun.py": {SHELL},  # commands of dvc.yaml, as DVC runs them
    "benchmarks/faulty.py": {SHELL},  # the same
}


def dangers(source: str) -> list[tuple[int, str]]:
    """List what source code may not name, with its lines."""
    tree = ast.parse(source)
    meant = USUAL | _imported(tree) | _assigned(tree)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return [(node.lineno, what) for node in ast.walk(tree) for what in _dangers_of(node, meant, calls)]


def _imported(tree: ast.Module) -> dict[str, str]:
    """What imported names mean: `np` is numpy, and after `from torch import load as x` x is torch.load."""
    meant = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            meant |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            meant |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return meant


def _assigned(tree: ast.Module) -> dict[str, str]:
    """What `t` means after `t = torch`."""
    return {
        target.id: ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _dangers_of(node: ast.AST, meant: dict[str, str], calls: dict[int, ast.Call]) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        before = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        names = [before + alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in MODULES or _is_dangerous(name))
    if isinstance(node, ast.Name | ast.Attribute) and _is_dangerous(name := _meaning(node, meant)):
        yield from _unless_harmless(name, calls.get(id(node)))
    if isinstance(node, ast.Call):
        yield from _dangerous_options(node, _meaning(node.func, meant))
    if isinstance(node, ast.Dict):
        yield from (f"{key.value} in a dictionary" for key in node.keys if _is_one_of(key, OPTIONS))
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and PurePosixPath(node.value).name in SHELLS:
        yield SHELL


def _meaning(node: ast.expr, meant: dict[str, str]) -> str:
    first, dot, rest = ast.unparse(node).partition(".")
    return meant.get(first, first) + dot + rest


def _is_dangerous(name: str) -> bool:
    """Whether a dotted name is that of something dangerous; our own are not."""
    first, last = name.split(".")[0], name.split(".")[-1]
    if first == "hcga":
        return False
    return (
        name in NAMES
        or last in OF_PACKAGES.get(first, ())
        or (first == "os" and last.startswith(PROCESSES))
        or ("." in name and last in ATTRIBUTES)
    )


def _unless_harmless(name: str, call: ast.Call | None) -> Iterator[str]:
    """A dangerous name, unless it is called at once, and with arguments that make it harmless."""
    options = {option.arg: option.value for option in call.keywords} if call else {}
    if name.startswith("numpy.") and _is(options.get("allow_pickle"), False):
        return
    if name == "torch.load" and _is(options.get("weights_only"), True):
        yield TENSORS
    elif name == "os.execv" and call and ast.unparse(call.args[0]) == "sys.executable":
        yield PYTHON
    else:
        yield name


def _dangerous_options(call: ast.Call, name: str) -> Iterator[str]:
    for option in call.keywords:
        if option.arg in ("shell", "allow_pickle") and not _is(option.value, False):
            yield f"{name} with {option.arg}"
        if option.arg == "typ" and not _is(option.value, "safe"):
            yield "another YAML than the safe one"
    if name.rpartition(".")[2] in ATTRIBUTES_OF_TABLES and "." in name and call.args:
        yield name


def _is_one_of(node: ast.AST | None, values: set[str]) -> bool:
    return isinstance(node, ast.Constant) and node.value in values


def _is(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def test_nothing_is_unpickled_evaluated_or_given_to_a_shell() -> None:
    """But for what is named above; `weights_only` refuses all but tensors."""
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    found = {str(file.relative_to(ROOT)): dangers(file.read_text(encoding="utf-8")) for file in files}
    assert {file: {what for _, what in each} for file, each in found.items() if each} == ALLOWED, {
        file: each for file, each in found.items() if each
    }


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
        "torch.serialization.load(path)",
        "import torch.serialization as s; s.load(path)",
        "np.lib.npyio.load(path)",
        "from numpy.lib import npyio; npyio.load(path)",
        "read = torch.load; read(path)",
        "read = np.load; read(path)",
        "t = torch; t.load(path)",
        "functools.partial(torch.load, weights_only=True)",
        "map(torch.load, paths)",
        "run(eval)",
        "os.execvp('sh', arguments)",
        "os.posix_spawn(path, arguments, environment)",
        "begin = os.execv",
        "subprocess.run(['/bin/sh', '-c', text])",
        "subprocess.run(['-c', text], executable='bash')",
        "asyncio.create_subprocess_shell(text)",
    ],
)
def test_each_of_these_would_be_found(source: str) -> None:
    assert dangers(source)


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "network.eval()",
        "YAML(typ='safe').load(path)",
        "YAML()",
        "subprocess.run(['git', name], shell=False)",
        "from hcga.network.inference import extract; extract(network)",
        "re.compile(text)",
    ],
)
def test_these_are_harmless(source: str) -> None:
    assert dangers(source) == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("torch.load(path, map_location='cpu', weights_only=True)", TENSORS),
        ("torch.load(path, weights_only=safe)", "torch.load"),
        ("os.execv(sys.executable, arguments)", PYTHON),
        ("os.execv(path, arguments)", "os.execv"),
    ],
)
def test_what_may_be_allowed_has_a_name_of_its_own(source: str, what: str) -> None:
    assert dangers(source) == [(1, what)]
