"""Which modules of `hcga` a script uses, by reading its imports."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
OFFERS = "hcga/__init__.py"  # its imports happen when somebody asks for what it offers, which no stage does
# They carry values, messages and files, and decide no result: a change of theirs must not rerun every stage.
NEUTRAL = {
    "hcga/__init__.py",
    "hcga/cluster/__init__.py",
    "hcga/cluster/connection.py",
    "hcga/cluster/extra.py",
    "hcga/cluster/jobs.py",
    "hcga/cluster/kind.py",
    "hcga/cluster/shared.py",
    "hcga/cluster/workers.py",
    "hcga/cores.py",
    "hcga/csv_files.py",
    "hcga/errors.py",
    "hcga/files.py",
    "hcga/guards.py",
    "hcga/outputs.py",
    "hcga/params.py",
    "hcga/resources.py",
    "hcga/runs/busy.py",
    "hcga/runs/git.py",
    "hcga/runs/processes.py",
    "hcga/runs/progress.py",
    "hcga/runs/recorded.py",
    "hcga/runs/runlog.py",
    "hcga/runs/stage.py",
    "hcga/runs/stopping.py",
    "hcga/store_limits.py",
    "hcga/validation.py",
    "hcga/wording.py",
}


def modules_used(script: Path) -> set[str]:
    """Paths, relative to the repository, of all modules that a script imports, directly or not."""
    found, waiting = set(), [script]
    while waiting:
        for path in _imports(waiting.pop()):
            if path not in found:
                found.add(path)
                waiting += [ROOT / path] if path != OFFERS else []
    return {path for path in found if (ROOT / path).stat().st_size} - NEUTRAL


def _imports(script: Path) -> set[str]:
    paths = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "hcga":
                parts = name.split(".")
                for length in range(1, len(parts) + 1):
                    for path in ("/".join(parts[:length]) + ".py", "/".join(parts[:length]) + "/__init__.py"):
                        if (ROOT / path).is_file():
                            paths.add(path)
    return paths
