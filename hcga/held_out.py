"""A validation set: training identities that take the place of the test identities."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.occluders import UNKNOWN, WHOLE
from hcga.samples import arrange, sort_samples


def hold_out(samples: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Make a validation set of training identities, in place of the test identities, if there are any.

    Parameters
    ----------
    samples : DataFrame
        As for `arrange`; only the training images are looked at. Column occluder, if there is one, is what
        `hcga.occluders.list_occluders` says of each.
    share : float
        Share of the training identities to hold out, in (0, 1); at least one is held out and two are kept. Drawn from
        those of which two cameras or more have two images or more, so that every query has a match.
    seed : int
        Decides which.

    Returns
    -------
    DataFrame
        Arranged. Of the held-out identities, one image of each camera that has another is a query: the first that is
        known to be occluded, as these are what the method is for, else the first. All others are gallery.

    Raises
    ------
    InputError
        There are too few training identities.
    """
    train = sort_samples(samples[samples["split"] == "train"])
    of_camera = train.groupby(["pid", "camid"])["path"].transform("size")
    several = train[of_camera > 1].groupby("pid")["camid"].nunique()
    eligible = several.index[several > 1]
    identities_in_all = train["pid"].nunique()
    count = max(1, round(share * identities_in_all))
    if identities_in_all - count < 2 or len(eligible) < count:
        raise InputError(
            f"prepare.validation: {share} of {identities_in_all} training identities is {count}; {len(eligible)} have "
            "two images at two cameras and could be held out, and two must be left to train. Lower it or set it to null"
        )
    held = np.random.default_rng(seed).choice(eligible.to_numpy(), count, replace=False)
    test = train["pid"].isin(held)
    whole = train["occluder"].isin([UNKNOWN, WHOLE]) if "occluder" in train else np.ones(len(train), bool)
    first = train.assign(whole=whole).sort_values("whole", kind="stable").drop_duplicates(["pid", "camid"]).index
    query = test & (of_camera > 1) & train.index.isin(first)
    return arrange(train.assign(split=np.select([query, test], ["query", "gallery"], "train")))
