"""`hcga search` and `compare`: which images show the same person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcga.cli.pictures import writing
from hcga.errors import InputError, printable
from hcga.runs.stage import PATH, clear_errors
from hcga.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from hcga.terms import Matched
    from hcga.using.index import Index
    from hcga.using.model import Model, OnBadImage
    from hcga.using.search import Ranked
    from hcga.using.store import Gallery

NAMED = 10  # of the images left out
CANDIDATES = 300
Command = Callable[..., None]


device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Device to compute on; auto takes cuda if there is one, else mps, else cpu.",
)


def of_model(function: Command) -> Command:
    """Options that all these commands have."""
    wanted = click.option(
        "--model",
        "source",
        required=True,
        help="Model to embed and compare with: a file of `hcga model export`, or a round such as r3 or HEAD:r3.",
    )
    return wanted(device_option(function))


_prior = click.option(
    "--prior",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="How likely it is before one looks that two images show the same person; needs a calibrated model.  "
    "[default: 0.5, even odds]",
)
pictures_option = click.option(
    "--pictures", type=PATH, help="Folder of the store's pictures, if it is not where the store says."
)
on_bad_image_option = click.option(
    "--on-bad-image",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="What to do with an image that cannot be decoded.",
)


@click.command()
@click.argument("queries", type=PATH, nargs=-1, required=True, metavar="QUERY...")
@click.option("--gallery", type=PATH, required=True, help="Images to search: a folder, or a store of `hcga embed`.")
@click.option(
    "--top", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="Images to list for each query."
)
@click.option("--output", "-o", "target", type=PATH, help="Picture or page of the lists to write: .png or .html.")
@click.option(
    "--index", "index_file", type=PATH, help="Compare only the candidates that this index, of `hcga index`, chooses."
)
@click.option(
    "--candidates",
    type=click.IntRange(1),
    help=f"Images that the index chooses for each query.  [default: {CANDIDATES}, with --index]",
)
@pictures_option
@click.option("--csv", "as_csv", is_flag=True, help="Print the lists as CSV, for other programs.")
@click.option("--one-person", is_flag=True, help="All queries show one person: they become one query.")
@_prior
@of_model
@on_bad_image_option
def search(
    queries: tuple[Path, ...],
    gallery: Path,
    count: int,
    target: Path | None,
    index_file: Path | None,
    candidates: int | None,
    pictures: Path | None,
    as_csv: bool,
    one_person: bool,
    prior: float | None,
    source: str,
    device: str,
    on_bad_image: OnBadImage,
) -> None:
    """List the images of a gallery that are most like each query, an image or a folder of them.

    The table has the similarity, the cosine of each feature, none where not both images show the part, and which
    parts an image shows. `(empty)`: it counts as visible, but GAM leaves no cell of it, so its cosine says nothing.
    An image that is the query itself is left out, if the store knows its folder; else say --pictures.

    A calibrated model also gives the probability that query and image show the same person, if the query is one image.
    """
    from hcga.using.crops import find_crops
    from hcga.using.ranked import require_pictures, require_ranked, write_ranked
    from hcga.using.search import opened_gallery
    from hcga.using.search import search as find

    with clear_errors():
        crops = find_crops(queries)
        if target:
            require_ranked(target, len(crops.files), 1 if one_person else len(crops.files), count)
        if index_file and gallery.suffix != ".zarr":
            raise InputError(f"--gallery {gallery}: an index is of a .zarr store; make one with `hcga embed`")
        if candidates and not index_file:
            raise InputError("--candidates: only an index chooses some; name one with --index")
        if one_person and prior is not None:
            raise InputError("--prior: several images of one person have no probability; leave it out, or --one-person")
        model = _load(source, device, prior)
        asked = model.embed_files(crops.files, on_bad_image)
        name_left_out(asked.problems, "query")
        files, embedded = [[file] for file in asked.files], asked.embedded
        if one_person:
            files, embedded = [asked.files], embedded.as_one_person(model.card.use.matching)
        with opened_gallery(gallery, model, pictures, on_bad_image) as opened:
            name_left_out(opened.problems, "image")
            if target:
                require_pictures(target, opened)
            index = _open_index(index_file, opened, model, max(candidates or CANDIDATES, count)) if index_file else None
            lists = find(model, files, embedded, opened, count, prior, index, candidates or CANDIDATES)
        _print_lists(model, lists, as_csv)
        if target:
            with writing(target):
                write_ranked(target, model, lists)
            click.echo(target, err=as_csv)


@click.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@_prior
@of_model
def compare(first: Path, second: Path, prior: float | None, source: str, device: str) -> None:
    """Say how alike two crops are, as a whole and each part, and which parts both show.

    A calibrated model also says how much likelier that is for one person than for two, and how likely it is one person.
    """
    from hcga.using.calibration import describe_decision

    with clear_errors():
        model = _load(source, device, prior)
        both = model.embed_files([first, second]).embedded
        one, other = both.take([0]), both.take([1])
        matched = model.match(one, other)
        similarity = model.similarity(one, other).item()
    matching = model.card.use.matching
    click.echo(f"similarity  {similarity:.3f}  ({matching.features}, {matching.similarity})")
    if model.card.use.calibration:
        click.echo(describe_decision(model.calibration, similarity, prior))
    click.echo()
    click.echo(_describe_pair(matched, ("both", str(first), str(second))))


def _open_index(path: Path, gallery: Gallery, model: Model, count: int) -> Index:
    """Open an index, and say what that many candidates are worth."""
    from hcga.using.index import open_index

    index = open_index(path, gallery, model)
    images = len(gallery.names)
    told = f"{min(count, images):,} candidates of {counted(images, 'image')} are compared with each query"
    if measured := [number for number in index.recall if number <= count]:
        asked = f"{counted(index.queries, 'query')} of your own" if index.queries else "images of the gallery"
        share = 100 * index.recall[max(measured)]
        told += f"; recall@10 {share:.1f} % with {counted(max(measured), 'candidate')}, measured with {asked}"
    click.echo(told, err=True)
    return index


def _load(source: str, device: str, prior: float | None) -> Model:
    """Load a model; one that is asked with a prior must have a calibration."""
    from hcga.using.model import Model

    model = Model.load(source, device)
    if prior is not None or model.card.use.calibration:
        _ = model.calibration
    return model


def _describe_pair(matched: Matched, names: tuple[str, str, str]) -> str:
    """A row a feature that is compared: its cosine, and who shows it."""
    import pandas as pd

    from hcga.terms import WHOLE

    first, second = ({one.part for one in seen if one.shown} for seen in matched.seen)
    by = {(True, True): names[0], (True, False): f"{names[1]} alone", (False, True): f"{names[2]} alone"}
    rows = [
        {
            "feature": term.feature,
            "cosine": f"{term.cosine:.3f}" if term.weight else "-",
            "seen in": ""
            if term.feature in WHOLE.values()
            else by.get((term.feature in first, term.feature in second), "neither")
            + (" (empty: GAM leaves no cell of it, so its cosine says nothing)" if term.empty and term.weight else ""),
        }
        for term in matched.gallery[0]
    ]
    return _format(pd.DataFrame(rows))


def _print_lists(model: Model, lists: list[Ranked], as_csv: bool) -> None:
    import pandas as pd

    from hcga.using.calibration import describe_probability
    from hcga.using.search import odds, shown, tabulate

    tables = [tabulate(model, ranked) for ranked in lists]
    if as_csv:
        named = [table.assign(query=_named(of)) for table, of in zip(tables, lists, strict=True)]
        joined = pd.concat(named)
        joined = joined.astype({name: str for name in ("probability", "prior") if name in joined})  # in full
        click.echo(
            joined[["query", *(name for name in joined if name != "query")]].to_csv(index=False, float_format="%.6f"),
            nl=False,
        )
        return
    if prior := odds(lists):
        click.echo(f"probability of the same person {prior}\n")
    for table, ranked in zip(tables, lists, strict=True):
        parts = ", ".join(shown(ranked.seen))
        click.echo(printable(_named(ranked)) + (f"  shows {parts}" if parts else ""))
        if ranked.left_out:
            which = "it is" if len(ranked.files) == 1 else f"{ranked.left_out} of them are"
            click.echo(f"{which} in the gallery itself, and left out there")
        texts = table.drop(columns="prior", errors="ignore")
        for name in texts.select_dtypes("float"):
            write = describe_probability if name == "probability" else "{:.3f}".format
            texts[name] = [write(value) if value == value else "-" for value in table[name]]
        click.echo(f"{_format(texts)}\n")


def _named(ranked: Ranked) -> str:
    """Paths of the query's files."""
    return " ".join(map(str, ranked.files))


def _format(table: pd.DataFrame) -> str:
    """A table as text, texts at the left of their columns; a name is one line, whatever signs a store has in it."""
    columns = []
    for name in table:
        texts = [printable(str(text)).replace("\n", r"\n") for text in (name, *table[name])]
        width = max(map(len, texts))
        left = name in ("feature", "seen in", "shows", "image")
        columns.append([text.ljust(width) if left else text.rjust(width) for text in texts])
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def name_left_out(problems: Iterable[str], what: str) -> None:
    """Say what was left out."""
    told = list(problems)
    for text in told[:NAMED]:
        click.echo(f"left out: {printable(text)}", err=True)
    if len(told) > NAMED:
        click.echo(f"left out: {counted(len(told), what)} in all", err=True)
