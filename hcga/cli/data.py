"""`hcga data`: data sets on disk, before and beside the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hcga.errors import InputError
from hcga.params import Dataset, Prepare, load_params
from hcga.runs.stage import PATH, clear_errors
from hcga.runs.workspace import Workspace, refuse_common_splits


@click.group()
def data() -> None:
    """Check data sets, make an occluded one, draw an example of a layout, convert CUHK03.

    LAYOUT is how a data set lies on disk, such as market1501 or folder: docs/datasets/README.md lists them.
    """


@data.command()
@click.option("--layout", help="Check one data set of this layout instead of those of params.yaml.")
@click.option("--root", type=PATH, help="Where it is.")
@click.option("--params", "params_file", type=PATH, help="Check the data sets of this file.  [default: params.yaml]")
def check(layout: str | None, root: Path | None, params_file: Path | None) -> None:
    """Count, compare with what was published, look for overlap, duplicates and files that cannot be decoded.

    Exit code 1 means that training makes no sense before the errors are mended; warnings may be as they should be.
    """
    with clear_errors():
        if (layout is None) != (root is None) or (layout and params_file):
            raise InputError("--layout and --root go together, and --params is for data sets of a params.yaml")
        if layout and root:
            errors = _report({root.name or "data": _any_dataset(layout, root)}, Path(), None)
        else:
            file = params_file or Workspace(Path()).params_file
            params = load_params(file)
            errors = _report(params.datasets, _checkout_of(file), params.prepare)
    raise SystemExit(1 if errors else 0)


@data.command()
@click.argument("layout")
@click.argument("root", type=PATH)
@click.option("--seed", type=click.IntRange(0), default=3, show_default=True, help="Of the people that are drawn.")
def example(layout: str, root: Path, seed: int) -> None:
    """Draw a tiny data set of synthetic people in a layout, to see what it looks like."""
    from hcga.datasets.examples import make_example

    with clear_errors():
        _known(layout)
        if root.exists():
            raise InputError(f"{root}: is there already; name a folder to make")
        make_example(layout, root, seed)
    click.echo(root)


@data.command()
@click.argument("layout")
@click.argument("root", type=PATH)
@click.argument("target", type=PATH)
@click.option(
    "--split",
    "splits",
    type=click.Choice(["train", "query", "gallery"]),
    multiple=True,
    default=["query"],
    show_default=True,
    help="Whose images; repeatable.",
)
@click.option(
    "--share", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Of the images of the split."
)
@click.option("--cover", type=(float, float), default=(0.35, 0.6), show_default=True, help="Share of the picture.")
@click.option(
    "--side", type=click.Choice(["any", "below", "left", "right"]), default="any", show_default=True, help="From where."
)
@click.option("--occluders", default="drawn", show_default=True, help="drawn, distractors, or a folder of images.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of where and what is put.")
def occlude(layout: str, root: Path, target: Path, **options: Any) -> None:
    """Copy a data set to TARGET and put things in front of people."""
    from hcga.datasets.occlusion import occlude_data_set

    with clear_errors():
        low, high = options["cover"]
        if not 0 < low <= high < 1:
            raise InputError(f"--cover {low} {high}: give two shares between 0 and 1, the lower first")
        listed = occlude_data_set(_known(layout), root, target, **options)
    click.echo(f"{target}: {len(listed)} images occluded, see {target / 'occluders.csv'}")


@data.command()
@click.argument("archive", type=PATH)
@click.argument("protocol", type=PATH)
@click.argument("root", type=PATH)
@click.option("--boxes", type=click.Choice(["detected", "labeled"]), required=True, help="Those of the protocol file.")
def cuhk03(archive: Path, protocol: Path, root: Path, boxes: str) -> None:
    """Write the images of cuhk-03.mat into the folders of the new protocol. Needs h5py."""
    with clear_errors():
        try:
            from hcga.datasets.cuhk03_archive import extract_cuhk03

            extract_cuhk03(archive, protocol, boxes, root)
        except ModuleNotFoundError as error:
            raise InputError(f"{error}; install h5py, or in the clone: pip install -e '.[cuhk03]'") from None
    click.echo(root)


def _checkout_of(params_file: Path) -> Path:
    """Where relative roots of a params file start: the checkout it lies in, or its folder."""
    try:
        return Workspace(params_file.parent).root
    except InputError:
        return params_file.parent


def _known(layout: str) -> str:
    from hcga.datasets.readers import LAYOUTS

    if layout not in LAYOUTS:
        raise InputError(f"no layout {layout!r}; known: {', '.join(LAYOUTS)}")
    return layout


def _any_dataset(layout: str, root: Path) -> Dataset:
    """All splits that a data set on disk has."""
    from hcga.datasets.readers import read_data_set

    splits = sorted(set(read_data_set(_known(layout), root)["split"]))
    return Dataset.model_validate(
        {"layout": layout, "root": str(root), "splits": splits, "truth": None, "counts": "warn"}
    )


def _report(datasets: Mapping[str, Dataset], folder: Path, prepare: Prepare | None) -> int:
    """Print what was found and return the number of errors.

    Relative roots start at `folder`. With `prepare` the sets are judged together, as the pipeline takes them; without,
    one by itself.
    """
    from hcga.datasets.catalogue import catalogue, join_tables
    from hcga.datasets.check import compare_counts, examine_table, format_counts, make_samples
    from hcga.datasets.files import examine_files, examine_labels
    from hcga.datasets.truth import truth_file
    from hcga.samples import count_splits

    refuse_common_splits(datasets, folder)
    findings, tables = [], {}
    for name, dataset in datasets.items():
        root = folder / dataset.root
        tables[name] = table = catalogue(dataset.layout, root, dataset.splits, dataset.truth)
        click.echo(f"{name}: {dataset.layout} at {root}\n{format_counts(count_splits(table))}\n")
        findings += compare_counts(table, dataset.layout, dataset.counts)
    joined = join_tables(tables)
    samples, of_table = make_samples(joined, prepare.validation) if prepare else (joined, examine_table(joined))
    table = joined if samples is None else samples  # what would be decoded
    images = [folder / datasets[name].root / path for name, path in zip(table["dataset"], table["path"], strict=True)]
    skip = prepare is not None and prepare.on_bad_image == "skip"
    files = examine_files(images, skip)
    findings += files.findings
    click.echo(files.summary)
    if skip and files.bad:  # errors stop prepare before it decodes; the rest is judged again without the bad images
        table = table.drop(index=table.index[files.bad])
        errors_before = [finding for finding in of_table if finding.severity == "error"]
        of_table = list(dict.fromkeys([*errors_before, *make_samples(table, None)[1]]))
    findings += of_table
    labelled = [
        (truth_file(folder / datasets[name].root, str(datasets[name].truth), path), folder / datasets[name].root / path)
        for name, path in zip(table["dataset"], table["path"], strict=True)
        if datasets[name].truth
    ]
    if labelled:
        summary, of_labels = examine_labels(labelled)
        findings += of_labels
        click.echo(summary)
    for finding in sorted(findings, key=lambda finding: finding.severity != "error"):
        click.echo(f"{finding.severity}: {finding.text}")
    errors = sum(finding.severity == "error" for finding in findings)
    verdict = "training makes no sense before the errors are mended" if errors else _verdict(set(joined["split"]))
    click.echo(f"{errors} error(s), {len(findings) - errors} warning(s): {verdict}")
    return errors


def _verdict(splits: set[str]) -> str:
    """What a sound set with these splits is good for."""
    testable = {"query", "gallery"} <= splits
    if "train" in splits:
        wanting = "" if testable else "; to be tested it needs query and gallery, or prepare.validation"
        return f"nothing speaks against training{wanting}"
    if testable:
        return "nothing speaks against testing on it; it has nothing to train on"
    return f"it has {' and '.join(splits)} only, and cannot be tested on by itself"
