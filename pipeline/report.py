"""Stage report: all rounds side by side."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.figures import collect_curves, collect_figures, format_figures, read_metrics, strays
from hcga.files import fresh
from hcga.stage import PATH, stage


@stage("rounds")
@click.option("--metrics", type=PATH, required=True, help="Folder of <round>.json.")
@click.option("--history", type=PATH, required=True, help="Folder of <round>.csv.")
@click.option("--report", type=PATH, required=True, help="Folder to write.")
def main(params: SimpleNamespace, metrics: Path, history: Path, report: Path) -> None:
    """Collect the figures and training curves of the rounds of params.yaml."""
    rounds = list(params.rounds)
    for path in [*strays(metrics, rounds), *strays(history, rounds)]:
        click.echo(f"warning: {path} belongs to no round of params.yaml; remove it, or dvc.lock will name it", err=True)
    figures = collect_figures({name: read_metrics(metrics / f"{name}.json") for name in rounds})
    tables = {
        "rounds": figures,
        "history": collect_curves({name: history / f"{name}.csv" for name in rounds}),
    }
    with fresh(report) as draft:
        draft.mkdir()
        for name, table in tables.items():
            table.to_csv(draft / f"{name}.csv", index=False, lineterminator="\n")
    click.echo(format_figures(figures))


if __name__ == "__main__":
    main()
