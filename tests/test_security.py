"""Nothing that could run code of a file is called: seen by walking the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("hcga", "pipeline", "benchmarks")
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {  # called on whatever
    *(
        "system",
        "popen",
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
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        found += [(node, name) for name in names if name in MODULES or name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom):
            taken = {alias.name for alias in node.names} & ATTRIBUTES
            found += [(node, f"{node.module}.{name}") for name in taken]
        if isinstance(node, ast.Call) and (what := _danger_of(node)):
            found.append((node, what))
        if isinstance(node, ast.keyword) and node.arg == "typ" and not _is(node.value, "safe"):
            found.append((node.value, "another YAML than the safe one"))
    return [f"line {node.lineno}: {what}" for node, what in found]


def _danger_of(call: ast.Call) -> str | None:
    name = ast.unparse(call.func)
    last, options = name.rpartition(".")[2], {option.arg: option.value for option in call.keywords}
    if "shell" in options and not _is(options["shell"], False):
        return f"{name} with shell"
    if "allow_pickle" in options and not _is(options["allow_pickle"], False):
        return f"{name} with allow_pickle"
    if name in ("np.load", "numpy.load") and "allow_pickle" not in options:
        return f"{name} without allow_pickle=False"
    if name == "torch.load" and not _is(options.get("weights_only"), True):
        return f"{name} without weights_only=True"
    if name in CALLS or last in ATTRIBUTES or (last in ATTRIBUTES_OF_TABLES and call.args):
        return name
    return None


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
        "tarfile.open(path).extractall(folder)",
        "zipfile.ZipFile(path).extractall()",
        "shutil.unpack_archive(path)",
        "YAML(typ='unsafe').load(path)",
        "YAML(typ=kind)",
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
