"""How far features tell people from their surroundings: what the masks of a finished run could be at best.

    python benchmarks/separability.py --checkout FOLDER --round r3

Needs the truth, or another parser's masks (`datasets.*.truth`). Foreground IoU in per cent over the images of some
training identities:

- `all`, `middle`: everything, or the middle 60 % of the columns, is foreground: what anybody could guess;
- `masks`: those of the round;
- `authors`, `perimeter`: labels of HCNet made into masks by either rule of CPLR, `coparse.background`;
- `labels`: what the source had before parts were assigned, each of an identity's labels assigned to the side that is
  best for the IoU of that identity, which needs the truth: no rule of CPLR can do better;
- `k-means`: the same with as many clusters of the identity's features as it has labels;
- `probe`: a linear classifier of single cells' features, taught by the truth of half of the identities, on the others.

And of the images the per cent in which the person is less active than what is around (mean norm of the features), which
ISP takes for the background then.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression

from hcga.artifacts import open_artifact
from hcga.coparsing.labels import reassign_labels
from hcga.masks.parts import UNLABELLED, downsample, foreground
from hcga.masks.quality import middle
from hcga.runs.revisions import WORKSPACE, open_revision
from hcga.runs.stage import PATH, clear_errors
from hcga.samples import identities, read_samples
from hcga.stores import array, attribute, read_rows

CELLS = 20_000  # of the identities that teach the probe, at most


@click.command()
@click.option("--checkout", type=PATH, default=Path(), help="Folder of the run.")
@click.option(
    "--rev", default=WORKSPACE, show_default=True, help="Revision of it, such as an experiment of `hcga ablate`."
)
@click.option("--round", "round_name", required=True, help="Its masks, and the features that they were made from.")
@click.option("--identities", "count", default=32, show_default=True, help="How many, evenly spread over the pids.")
def main(checkout: Path, rev: str, round_name: str, count: int) -> None:
    """Print the foreground IoU of masks, of the best that could be made of labels and features, and of guesses."""
    with clear_errors():
        workspace = open_revision(checkout, rev)
        features = array(open_artifact(workspace, "extract", "features", round_name), "features")
        store = open_artifact(workspace, "coparse", "masks", round_name)
        part_classes = attribute(store, "part_classes", int)
        truth = array(open_artifact(workspace, "prepare", "truth"), "truth")
        rows_of = identities(read_samples(workspace.path("prepare", "samples")))
    pids = np.unique(np.linspace(0, len(rows_of) - 1, count).round().astype(int))
    found: dict[str, list[tuple[int, int]]] = {}
    taught: list[tuple[np.ndarray, np.ndarray]] = []
    asked: list[tuple[np.ndarray, np.ndarray]] = []
    weaker: list[bool] = []
    for number, rows in enumerate([*rows_of.values()][pid] for pid in pids):
        true = downsample(read_rows(truth, rows))
        known = true != UNLABELLED
        person = foreground(true)[known]
        maps = read_rows(features, rows).transpose(0, 2, 3, 1).astype(np.float32)
        cells = maps[known]
        weaker += weaker_inside(np.linalg.norm(maps, axis=3), true)
        masks, labels = (read_rows(array(store, name), rows) for name in ("masks", "labels"))
        clusters = MiniBatchKMeans(len(np.unique(labels[known])), n_init=3, random_state=number).fit_predict(cells)
        candidates = {
            "all": np.ones_like(person),
            "middle": foreground(middle(true))[known],
            "masks": foreground(masks)[known],
            "authors": foreground(reassign_labels(labels, part_classes, "authors"))[known],
            "perimeter": foreground(reassign_labels(labels, part_classes, "perimeter"))[known],
            "labels": best_assignment(labels[known], person),
            "k-means": best_assignment(clusters, person),
        }
        for name, guess in candidates.items():
            found.setdefault(name, []).append(overlap(guess, person))
        (taught if number % 2 else asked).append((cells, person))
    probe = teach(*map(np.concatenate, zip(*taught, strict=True)))
    found["probe"] = [overlap(probe.predict(cells), person) for cells, person in asked]
    for name, counts in found.items():
        inside, either = np.sum(counts, 0)
        click.echo(f"{name:9} {100 * inside / either:5.1f}")
    click.echo(f"person less active than its surroundings in {100 * np.mean(weaker):.1f} % of {len(weaker)} images")


def best_assignment(groups: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Which cells are foreground if each group is assigned as a whole, as the IoU is best: the purest groups.

    Parameters
    ----------
    groups : (n,) integer
    person : (n,) bool
        The truth.

    Returns
    -------
    (n,) bool
    """
    inside, size = np.bincount(groups, person), np.bincount(groups)
    order = np.argsort(-inside / np.maximum(size, 1), kind="stable")
    hits, taken = np.cumsum(inside[order]), np.cumsum(size[order])
    best = np.argmax(hits / np.maximum(person.sum() + taken - hits, 1))
    return np.isin(groups, order[: best + 1])


def weaker_inside(activation: np.ndarray, true: np.ndarray) -> list[bool]:
    """Whether the mean of `activation` (n, h, w) is less inside the person than around, of images that have both."""
    person, around = foreground(true), true == 0
    both = person.any((1, 2)) & around.any((1, 2))
    return [
        bool(of[inside].mean() < of[rest].mean())
        for of, inside, rest in zip(activation[both], person[both], around[both], strict=True)
    ]


def overlap(guess: np.ndarray, person: np.ndarray) -> tuple[int, int]:
    """Cells in both and in either."""
    return int((guess & person).sum()), int((guess | person).sum())


def teach(cells: np.ndarray, person: np.ndarray) -> LogisticRegression:
    """Fit the probe on some of the cells, (n, q) float32 and (n,) bool."""
    chosen = np.random.default_rng(0).permutation(len(cells))[:CELLS]
    return LogisticRegression(C=0.01, max_iter=300).fit(cells[chosen], person[chosen])


if __name__ == "__main__":
    main()
