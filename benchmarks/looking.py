"""What somebody looks at while the small pipeline of faulty.py runs: on the command line and in the browser."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import urllib.error
import urllib.request
from types import TracebackType
from typing import Self

from faulty import Done, Pipeline, Running, variables

TOOL = [sys.executable, "-c", "from hcga.cli.main import main; main()"]
ROUND = "r2"
STATUS = "status"
COMMANDS = {
    STATUS: ["status"],
    "masks draw": ["masks", "draw", "--round", ROUND, "--pid", "2", "--output", "PICTURE"],
    "masks diff": ["masks", "diff", "workspace:r1", f"workspace:{ROUND}", "--csv"],
}
STRIPS = {f"view {layer}": f"/strips/workspace:{ROUND}/2/{layer}" for layer in ("masks", "labels")}
REFUSED = 404  # how the page answers where it says why it shows nothing
LOOKS = [*COMMANDS, *STRIPS]


class Onlooker:
    """Somebody with a terminal and a page of `hcga view` that stays open.

    Parameters
    ----------
    pipeline : Pipeline
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._root = pipeline.root
        self._server = subprocess.Popen(
            [*TOOL, "view", "--no-browser"],
            cwd=self._root,
            env=variables(self._root),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._server.stdout is not None
        self._home = self._server.stdout.readline().split()[0].rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.terminate()
        self._server.wait()

    def look(self, name: str) -> Done:
        """Look once; of a picture the text is the digest."""
        return self._ask(STRIPS[name]) if name in STRIPS else self._command(COMMANDS[name])

    def look_at_all(self) -> dict[str, Done]:
        """Look once in every way."""
        return {name: self.look(name) for name in LOOKS}

    def _command(self, arguments: list[str]) -> Done:
        picture = self._root.parent / "picture.png"
        words = [word.replace("PICTURE", str(picture)) for word in arguments]
        done = Running(self._root, [*TOOL, *words]).end()
        text = hashlib.md5(picture.read_bytes()).hexdigest() if picture.is_file() else done.text
        picture.unlink(missing_ok=True)
        return Done(done.code, done.text if done.code else text)

    def _ask(self, address: str) -> Done:
        try:
            with urllib.request.urlopen(self._home + address) as answer:
                return Done(0, hashlib.md5(answer.read()).hexdigest())
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return Done(error.code, f"Error: {text}" if error.code == REFUSED else text)
