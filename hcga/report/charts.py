"""Curves as SVG text that stands in a page: text and axes take the page's colour, so that it may be dark or light."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

PAGE = "#010203"  # stands for the colour of the page's text
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")  # Okabe and Ito's without black and yellow
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Each time that the colours begin again, their dashes and markers are others.
LINES = [
    (COLOURS[number % 6], DASHES[(number + number // 6) % 4], MARKERS[(number + number // 6) % 6])
    for number in range(24)
]
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a branch may be called $x$
    "svg.hashsalt": "hcga",  # ids in the SVG are the same every time
    "font.family": "sans-serif",
    "font.size": 10,
    **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], PAGE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": PAGE,
    "grid.alpha": 0.15,
}


def draw_curves(curves: Mapping[str, pd.Series], x: str, y: str) -> str:
    """Draw named curves into one diagram.

    Parameters
    ----------
    curves : mapping of str to Series
        Name to values; the index is the horizontal axis.
    x, y : str
        What the axes show.

    Returns
    -------
    str
        An SVG element.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, 3.3), layout="constrained")
        axes = figure.subplots()
        for number, (name, values) in enumerate(curves.items()):
            colour, dash, marker = LINES[number % len(LINES)]
            marked = marker if len(values) <= 12 else None
            axes.plot(values.index, values.to_numpy(), color=colour, linestyle=dash, marker=marked, label=name)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(curves) > 1:
            figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = file.getvalue()
    tag, rest = element[element.index("<svg") :].replace(PAGE, "currentColor").split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", tag) + ">" + rest  # the page decides how large it is
