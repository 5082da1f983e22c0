"""Stage check: params.yaml as a whole, before any stage deletes what an earlier run made."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.cluster.extra import need_packages
from hcga.errors import InputError
from hcga.files import fresh
from hcga.masks.label_images import holds_label_images
from hcga.masks.parsers import translation
from hcga.runs.stage import PATH, stage
from hcga.runs.workspace import Workspace, refuse_common_splits


@stage("coparse", "dask", "datasets", "device", "external", "part_classes", "synthetic")
@click.option("--checked", type=PATH, required=True, help="Text file to write.")
def main(params: SimpleNamespace, checked: Path) -> None:
    """Check params.yaml against this machine and write a constant note that the first stages depend on."""
    drawn = Workspace(Path()).path("synthesise", "root")
    for name, dataset in params.datasets.items():
        root = Path(dataset.root)
        if root.resolve() == drawn and params.synthetic is None:
            raise InputError(f"datasets.{name}.root: {root} is for synthetic people, but synthetic is null; change one")
        if root.resolve() != drawn and not root.is_dir():
            raise InputError(f"datasets.{name}.root: {root} is no folder; set it to where the data set is")
    refuse_common_splits(params.datasets, Path())
    masks = Path(params.external.root)
    if not masks.is_dir() and not (params.synthetic and masks.resolve().is_relative_to(drawn)):
        raise InputError(f"external.root: {masks} is no folder; set it to where the masks are")
    if params.coparse.source == "external" and not holds_label_images(masks):
        raise InputError(f"coparse.source is external, but {masks} holds no label image; set external.root to some")
    translation(params.external.labels, params.part_classes)
    if params.dask:
        need_packages(params.dask)
    if params.dask is None and params.device not in ("auto", "cpu"):
        from hcga.devices import choose_device

        choose_device(params.device)
    with fresh(checked) as draft:
        draft.write_text("params.yaml is valid\n", encoding="utf-8")


if __name__ == "__main__":
    main()
