"""The tables of an ablation: mean and standard deviation over seeds of each row, and round by round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hcga.ablation.results import FIGURES, Results

PAPER = {"Rank-1": "rank1", "Rank-5": "rank5", "mAP": "mAP"}
AGREEMENT = {"same part": "same_part", "adj. Rand": "adjusted_rand"}
LEGEND = (
    "Per cent, mean ± standard deviation over seeds. mask ... IoU: of the training masks with the true ones, where "
    "they are known. in occluders: foreground of the masks inside known occluders, where the person is not. head "
    "train IoU: foreground of the parsing head on training images; head in occl.: inside known occluders of test "
    "images. seen ...: visibility of parts in whole and in occluded test images, by evaluate.visibility. empty parts: "
    "of those seen in queries, the ones to which GAM leaves no cell. same part, adj. Rand: agreement of the masks "
    "between seeds, mean over pairs of seeds; same part: share of the cells; adj. Rand: adjusted Rand index of the "
    "labels before parts were assigned, mean over identities (1: the same groups, 0: as by chance)."
)


def average(runs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Sum up runs over seeds.

    Parameters
    ----------
    runs : DataFrame
        As `Results` has them; figures in columns.
    keys : sequence of str
        Columns that say what belongs together.

    Returns
    -------
    DataFrame
        A row a group in the order of first appearance: keys, seeds (how many), and of each figure NAME_mean, NAME_std
        (with n - 1, as of a sample; nan for a single seed).
    """
    numbers = [column for column in runs.select_dtypes("number") if column != "seed" and column not in keys]
    grouped = runs.groupby(list(keys), sort=False)
    means, deviations = grouped[numbers].mean(), grouped[numbers].std()
    both = {f"{name}_{kind}": of[name] for name in numbers for kind, of in (("mean", means), ("std", deviations))}
    return pd.DataFrame({"seeds": grouped["seed"].nunique(), **both}).reset_index()


def by_row(rows: Sequence[str], results: Results) -> pd.DataFrame:
    """Sum up the last round of each row: figures as `average` has them, agreement, the paper's figures."""
    summed = pd.DataFrame({"row": list(rows)})
    if len(results.runs):
        last = results.runs[results.runs["last"]]
        summed = summed.merge(average(last, ["row"]), on="row", how="left")
        rounds = last.drop_duplicates("row")[["row", "round"]]
        summed = summed.merge(_with_agreement(rounds, results), on="row", how="left")
        first = ["row", "round", "seeds", *AGREEMENT.values()]
        summed = summed[[*first, *(column for column in summed if column not in first)]]
    for title, name in PAPER.items():
        figures = [getattr(results.paper.get(row), name, None) for row in rows]
        if any(figure is not None for figure in figures):
            summed[f"paper {title}"] = pd.Series(figures, dtype=float)
    return summed


def by_round(rows: Sequence[str], results: Results) -> pd.DataFrame:
    """Sum up all rounds: a row a row of the table and round; none if nothing has run."""
    if results.runs.empty:
        return pd.DataFrame()
    summed = average(results.runs, ["row", "round"])
    summed = _with_agreement(summed, results)
    order = summed["row"].map(list(rows).index)
    return summed.assign(order=order).sort_values("order", kind="stable", ignore_index=True).drop(columns="order")


def _with_agreement(summed: pd.DataFrame, results: Results) -> pd.DataFrame:
    if results.agreement.empty:
        return summed.assign(**dict.fromkeys(AGREEMENT.values(), np.nan))
    return summed.merge(results.agreement, on=["row", "round"], how="left")


def readable(summed: pd.DataFrame) -> pd.DataFrame:
    """A table of `by_row` or `by_round` as text, without columns that say nothing."""
    shown: dict[str, list[str]] = {
        key: [_plain(value) for value in summed[key]] for key in ("row", "round") if key in summed
    }
    if "epoch_mean" in summed:
        shown["epoch"] = [_plain(value, 0) for value in summed["epoch_mean"]]
    if "seeds" in summed:
        shown["seeds"] = [_plain(value, 0) for value in summed["seeds"].fillna(0)]
    for title, name in FIGURES.items():
        if f"{name}_mean" in summed:
            both = zip(summed[f"{name}_mean"], summed[f"{name}_std"], strict=True)
            shown[title] = [spread(mean, deviation) for mean, deviation in both]
    for title, name in AGREEMENT.items():
        if name in summed:
            shown[title] = [_plain(value, 2 if name == "adjusted_rand" else 1) for value in summed[name]]
    for title in PAPER:
        if f"paper {title}" in summed:
            shown[f"paper {title}"] = [_plain(value) for value in summed[f"paper {title}"]]
    table = pd.DataFrame(shown)
    return table[[name for name in table if not (table[name] == "-").all()]]


def spread(mean: float, deviation: float) -> str:
    """Mean and standard deviation: `25.7 ± 1.2`; without the latter for a single seed, - where nothing is known."""
    return f"{_plain(mean)} ± {_plain(deviation)}" if not np.isnan(deviation) else _plain(mean)


def _plain(value: object, digits: int = 1) -> str:
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    return "-" if np.isnan(number) else f"{number:.{digits}f}"
