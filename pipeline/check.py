"""Stage check: params.yaml as a whole, before any stage deletes what an earlier run made."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.stage import PATH, stage


@stage()
@click.option("--checked", type=PATH, required=True, help="Text file to write.")
def main(params: SimpleNamespace, checked: Path) -> None:
    """Check params.yaml and write a constant note that the first stages depend on."""
    checked.parent.mkdir(parents=True, exist_ok=True)
    checked.write_text("params.yaml is valid\n", encoding="utf-8")


if __name__ == "__main__":
    main()
