"""The tables of an ablation: mean and standard deviation over seeds of each row, and round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hcga.ablation.results import HEAD, MASKS, RETRIEVAL, TRAPEZOID, Results
from hcga.ablation.tables import Figures

PAPER = {"Rank-1": "rank1", "Rank-5": "rank5", "mAP": "mAP", TRAPEZOID: "mAP_trapezoid"}  # beside which figure of ours
AGREEMENT = {"same part": "same_part", "adj. Rand": "rand_parts", "of labels": "rand_labels"}
LEGEND = {  # of the columns that do not explain themselves
    TRAPEZOID: "mAP trapez.: as the paper's beside it was computed, see docs/method.md.",
    "mask fg IoU": "mask ... IoU: of the training masks with the true ones, where they are known.",
    "foreground": "foreground: share of the masks' cells.",
    "in occluders": "in occluders: share of the cells in the boxes of known occluders that the masks call foreground; "
    "masks that know nothing of them have as much there as everywhere.",
    "same part": "same part, adj. Rand, of labels: agreement of the masks between seeds, mean over pairs of seeds; "
    "same part: share of the cells; adj. Rand: adjusted Rand index of the parts, mean over identities (1: the same "
    "groups, 0: as by chance); of labels: likewise of hcnet's labels before they become parts.",
    "head train IoU": "head train IoU: foreground of the parsing head on training images.",
    "head in occl.": "head in occl.: as in occluders, of the parsing head on test images.",
    "empty parts": "empty parts: of those seen in queries, the ones to which GAM leaves no cell.",
    "images": "Parts seen: share of the test images in which a part counts as visible, by evaluate.visibility; "
    "covered: of those in which an occluder's box covers half or more of where the part is in whole images, by the "
    "true masks, or by the parsing head where there are none.",
}


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
    for name in Figures.model_fields:
        figures = [getattr(results.paper.get(row), name, None) for row in rows]
        if any(figure is not None for figure in figures):
            summed[f"paper_{name}"] = pd.Series(figures, dtype=float)
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


def readable(summed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables of text by title, of `by_row` or `by_round`, without columns and tables that say nothing."""
    tables = {"Retrieval": _retrieval(summed), "Masks": _masks(summed), "Parsing head": _spreads(summed, HEAD)}
    known = {title: _telling(columns) for title, columns in tables.items()}
    shown = {title: pd.DataFrame(_keys(summed) | columns) for title, columns in known.items() if columns}
    return {title: table if title == "Retrieval" else _once(table) for title, table in shown.items()}


def parts_seen(summed: pd.DataFrame) -> pd.DataFrame:
    """Visibility of each part, of `by_row`, as a table of text: in whole and in occluded images, and where covered."""
    known = [
        column.removeprefix("visibility_whole_").removesuffix("_mean")
        for column in map(str, summed)
        if column.startswith("visibility_whole_") and column.endswith("_mean")
    ]
    parts = [part for part in known if part not in ("mean", "empty")]
    lines = []
    for where in ("whole", "occluded", "covered"):
        columns = {part: f"visibility_{where}_{part}" for part in parts}
        lines.append(pd.DataFrame({"row": summed["row"], "images": where} | _spreads(summed, columns)))
    table = pd.concat(lines).sort_index(kind="stable").fillna("-")
    return _once(table[(table[parts] != "-").any(axis=1)]) if parts else table[:0]


def _once(table: pd.DataFrame) -> pd.DataFrame:
    """A table in which all rows say the same, as of masks where only matching differs, with one row for all."""
    said = [column for column in table if column != "row"]
    rows = table["row"].nunique()
    if rows > 1 and (table.groupby(said)["row"].nunique() == rows).all():
        return table.drop_duplicates(said).assign(row="all")
    return table


def legend(tables: Mapping[str, pd.DataFrame]) -> str:
    """What the columns of some tables say."""
    shown = {column for table in tables.values() for column in table}
    told = [text for column, text in LEGEND.items() if column in shown]
    return " ".join(["Per cent, mean ± standard deviation over seeds.", *told])


def _retrieval(summed: pd.DataFrame) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    for title, figures in _spreads(summed, RETRIEVAL).items():
        papers = f"paper_{PAPER[title]}" if title in PAPER else ""
        if papers in summed or title != TRAPEZOID:  # which is there to be compared with the paper's
            columns[title] = figures
        if papers in summed:
            columns[f"paper {'mAP' if title == TRAPEZOID else title}"] = [_plain(value) for value in summed[papers]]
    return columns


def _masks(summed: pd.DataFrame) -> dict[str, list[str]]:
    agreement = {
        title: [_plain(value, 1 if name == "same_part" else 2) for value in summed[name]]
        for title, name in AGREEMENT.items()
        if name in summed
    }
    return _spreads(summed, MASKS) | agreement


def _spreads(summed: pd.DataFrame, titles: Mapping[str, str]) -> dict[str, list[str]]:
    return {
        title: [spread(*both) for both in zip(summed[f"{name}_mean"], summed[f"{name}_std"], strict=True)]
        for title, name in titles.items()
        if f"{name}_mean" in summed
    }


def _telling(columns: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {title: values for title, values in columns.items() if set(values) != {"-"}}


def _keys(summed: pd.DataFrame) -> dict[str, list[str]]:
    """Row, seeds, and round and epoch unless those are the same for all."""
    columns = {
        "row": list(summed["row"]),
        "round": [_plain(value) for value in summed.get("round", [])],
        "epoch": [_plain(value, 0) for value in summed.get("epoch_mean", [])],
        "seeds": [_plain(value, 0) for value in summed["seeds"].fillna(0)] if "seeds" in summed else [],
    }
    same = [name for name in ("round", "epoch") if len({*columns[name]} - {"-"}) < 2]
    return {name: values for name, values in columns.items() if values and name not in same}


def spread(mean: float, deviation: float) -> str:
    """Mean and standard deviation: `25.7 ± 1.2`; without the latter for a single seed, - where nothing is known."""
    return f"{_plain(mean)} ± {_plain(deviation)}" if not np.isnan(deviation) else _plain(mean)


def _plain(value: object, digits: int = 1) -> str:
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    return "-" if np.isnan(number) else f"{number:.{digits}f}"
