"""A plot of an ablation: a line a row, a diagram a figure, on white and on dark pages alike."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hcga.ablation.results import FIGURES, TRAPEZOID, Results
from hcga.ablation.summary import PAPER
from hcga.report.charts import LINES, PAGE, STYLE

GREY = "#767676"  # of text and axes: contrast above 4 on white and on black
SHOWN = ("Rank-1", "mAP", "mask fg IoU")  # of FIGURES, where there are such; beside the paper's, mAP as it has it
ROW_INCHES, PANEL_INCHES = 0.42, 2.6


def draw_rows(summed: pd.DataFrame, results: Results) -> str:
    """Draw the figures of the last round, with a bar of one standard deviation to each side and a dot for each seed.

    Parameters
    ----------
    summed : DataFrame
        See `hcga.ablation.summary.by_row`.
    results : Results
        Its runs give the dots.

    Returns
    -------
    str
        An SVG file.
    """
    chosen = [TRAPEZOID if title == "mAP" and f"paper_{PAPER[TRAPEZOID]}" in summed else title for title in SHOWN]
    titles = [
        title for title in chosen if f"{FIGURES[title]}_mean" in summed and summed[f"{FIGURES[title]}_mean"].any()
    ]
    longest = max(len(name) for name in summed["row"])
    size = (0.09 * longest + PANEL_INCHES * len(titles) + 0.3, ROW_INCHES * len(summed) + 1.1)
    with mpl.rc_context(STYLE | {"axes.xmargin": 0.08}):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
        for axes, title in zip(panels, titles, strict=True):
            _draw_panel(axes, summed, results.runs[results.runs["last"]], title)
        panels[0].set_yticks(range(len(summed)), list(summed["row"]))
        panels[0].set_ylim(len(summed) - 0.5, -0.5)
        handles = {name: handle for axes in panels for handle, name in zip(*_legend(axes), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file.getvalue().replace(PAGE, GREY)


def _draw_panel(axes: Axes, summed: pd.DataFrame, last: pd.DataFrame, title: str) -> None:
    column, heights = FIGURES[title], np.arange(len(summed))
    (blue, *_), (red, *_) = LINES[:2]
    means, deviations = summed[f"{column}_mean"], summed[f"{column}_std"].fillna(0)
    axes.errorbar(means, heights, xerr=deviations, fmt="s", color=blue, markersize=6, capsize=3, label="mean ± std")
    below = last["row"].map(dict(zip(summed["row"], heights + 0.22, strict=True)))
    axes.plot(last[column], below, "o", color=GREY, markersize=3, label="each seed")
    if (papers := f"paper_{PAPER.get(title)}") in summed:
        axes.plot(summed[papers], heights, "D", color=red, fillstyle="none", label="paper")
    axes.set_xlabel(f"{title}, per cent")


def _legend(axes: Axes) -> tuple[list[Any], list[str]]:
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda place: ("mean ± std", "each seed", "paper").index(names[place]))
    return [handles[place] for place in order], [names[place] for place in order]
