"""Stage synthesise: the embedded data set of synthetic people, in Market-1501's layout."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.datasets.synthetic import synthesise
from hcga.files import fresh
from hcga.runs.stage import PATH, stage


@stage("synthetic")
@click.option("--root", type=PATH, required=True, help="Folder to write.")
def main(params: SimpleNamespace, root: Path) -> None:
    """Draw synthetic people; an empty folder where params.yaml has `synthetic: null`."""
    with fresh(root) as draft:
        if params.synthetic:
            synthesise(draft, **params.synthetic.model_dump())
        else:
            draft.mkdir()


if __name__ == "__main__":
    main()
