"""Stage check: params.yaml as a whole, before any stage deletes what an earlier run made."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.errors import InputError
from hcga.stage import PATH, stage


@stage("dataset", "synthetic")
@click.option("--checked", type=PATH, required=True, help="Text file to write.")
def main(params: SimpleNamespace, checked: Path) -> None:
    """Check params.yaml and write a constant note that the first stages depend on."""
    if params.synthetic is None and not Path(params.dataset.root).is_dir():
        raise InputError(f"dataset.root: {params.dataset.root} is no folder; set it to where the data set is")
    checked.parent.mkdir(parents=True, exist_ok=True)
    checked.write_text("params.yaml is valid\n", encoding="utf-8")


if __name__ == "__main__":
    main()
