"""Stage report: all rounds on one page, and their figures and curves as tables."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.figures import format_figures, strays
from hcga.files import fresh
from hcga.masks.sheet import contact_sheet_of
from hcga.report.build import SHEET, build_page
from hcga.report.code import name_code
from hcga.report.inputs import read_run
from hcga.runs.runlog import RunLog
from hcga.runs.stage import PATH, stage


@stage("evaluate", "rounds")
@click.option("--samples", type=PATH, required=True)
@click.option("--images", type=PATH, required=True)
@click.option("--truth", type=PATH, required=True)
@click.option("--masks", type=PATH, required=True, help="Folder of <round>.zarr.")
@click.option("--embeddings", type=PATH, required=True, help="Folder of <round>.zarr.")
@click.option("--metrics", type=PATH, required=True, help="Folder of <round>.json.")
@click.option("--cmc", type=PATH, required=True, help="Folder of <round>.csv.")
@click.option("--rankings", type=PATH, required=True, help="Folder of <round>.csv.")
@click.option("--identities", type=PATH, required=True, help="Folder of <round>.csv.")
@click.option("--history", type=PATH, required=True, help="Folder of <round>.csv.")
@click.option("--written", type=PATH, required=True, help="The file of params, to be shown as it is.")
@click.option("--report", type=PATH, required=True, help="Folder to write.")
def main(params: SimpleNamespace, report: Path, **paths: Path) -> None:
    """Collect what the rounds of params.yaml have made."""
    names = list(params.rounds)
    for path in [stray for folder in ("metrics", "history") for stray in strays(paths[folder], names)]:
        click.echo(f"warning: {path} belongs to no round of params.yaml; remove it, or dvc.lock will name it", err=True)
    run = read_run(names, paths, params.evaluate, RunLog(Path()).finished(), name_code(Path()))
    with fresh(report) as draft:
        draft.mkdir()
        (draft / "index.html").write_text(build_page(run), "utf-8")
        (draft / SHEET).parent.mkdir()
        for name, this in run.rounds.items():
            title = f"{name}, the worst masks"
            sheet = contact_sheet_of(run.images, run.samples, this.masks, this.identities, title, worst=True)
            sheet.save(draft / SHEET.format(name), quality=80)
        run.figures.to_csv(draft / "rounds.csv", index=False, lineterminator="\n")
        run.history.to_csv(draft / "history.csv", index=False, lineterminator="\n")
    click.echo(format_figures(run.figures))


if __name__ == "__main__":
    main()
