"""What the words in the report's tables, diagrams and captions mean."""

from __future__ import annotations

FIGURES = {  # by column, as in `hcga.figures.SHOWN`
    "epoch": "epochs of training done at the end of the round",
    "mask fg IoU": "intersection over union of foreground in the pseudo-masks and in the truth, on training images",
    "guess": "mask fg IoU of calling the middle 60 % of every image foreground: what masks must beat",
    "mask part IoU": "intersection over union of each part, mean over the parts",
    "foreground": "share of the cells of the pseudo-masks that are not background",
    "in occluders": "share of the cells inside the boxes of known occluders that are foreground",
    "truth in occl.": "the same of the true masks: boxes also hold what is around an occluder, and parsers err",
    "agree prev": "share of the cells with the same label as in the round before",
    "agree head": "share of the cells with the same label from the parsing head of PRNet",
    "head train IoU": "intersection over union of foreground by the parsing head and in the truth, on training images",
    "head fg IoU": "intersection over union of foreground by the parsing head and in the truth, on test images",
    "head in occl.": "share of the cells inside known occluders of test images that the parsing head calls foreground",
    "empty parts": "of the parts that count as visible in queries, those to which GAM, the guided alignment module, "
    "leaves no cell",
    "Rank-1": "share of the queries with the right person first",
    "Rank-5": "share of the queries with the right person among the first five",
    "mAP": "mean over the queries of the average precision of the ranked list",
    "mINP": "mean inverse negative penalty: high where even the last image of the right person comes early",
    "re-ranked Rank-1": "Rank-1 after k-reciprocal re-ranking (evaluate.rerank)",
    "re-ranked mAP": "mAP after it",
    "multi-q. Rank-1": "Rank-1 where all images of a query's person at its camera are one query (evaluate.multi_query)",
    "multi-q. mAP": "mAP of these",
    "TPR 1e-3": "pairs of one person that pass the threshold which one in 1,000 pairs of two people passes",
    "DIR 1e-1": "queries of people on a watch list that find the right one first, above the threshold at which one in "
    "ten strangers raises an alarm",
}
CHARTS = {
    "Loss and its terms": "Eq. 9: of the classifiers of image, foreground and parts, and of the parsing head, which "
    "train.parsing_weight weighs in the sum.",
    "Accuracy of the image classifier": "Training images given to the right identity.",
    "Cumulative matching characteristic": "Queries with the right person up to this rank.",
}
IDENTITIES = {  # by column of the table that stage evaluate writes; shares of parts apart
    "pid": "number of the identity; images, cameras: of its training images",
    "iterations": "of HCNet's training",
    "labels left": "different labels that HCNet's decoder gives in the end",
    "foreground labels": "those of them that are foreground",
    "foreground share": "of the cells; head share and so on: of each part",
    "agreement previous": "cells with the same label as in the round before",
    "without mask": "images without one",
    "repaired": "images whose mask was made by hand",
    "agreement head": "cells with the same label from the parsing head of PRNet",
    "iou foreground": "intersection over union of foreground in mask and truth",
}
IDENTITY = {  # the same columns in the caption of an identity
    "labels_left": "{} labels left",
    "foreground_share": "{} % foreground",
    "agreement_previous": "{} % as in the round before",
    "agreement_head": "{} % as the parsing head",
    "iou_foreground": "IoU of foreground {} %",
}
