"""The report: what stands on the page, the worst first, nothing from elsewhere, nothing that a name can inject."""

import html.parser
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from angles import PLAIN

from hcga.coparsing.coparse import describe_masks
from hcga.figures import SHOWN
from hcga.masks.sheet import spread
from hcga.report import build, terms
from hcga.report.build import SHEET, build_page, describe_set, draw_charts, draw_strips, list_retrieval, tabulate_times
from hcga.report.charts import COLOURS, DASHES, LINES, MARKERS, draw_curves
from hcga.report.inputs import Round, Run
from hcga.report.thumbnails import embed_picture, embed_row
from hcga.runs.runlog import Finished
from hcga.samples import COLUMNS
from hcga.store_writing import write_store
from hcga.stores import array, open_store

BODY = ("upper body", "lower body")
MATCHING = PLAIN.model_copy(update={"features": "F+P"})
HOSTILE = "<script>alert('x')</script>&\"'.jpg"
MASKS = np.zeros((5, 4, 2), np.uint8)
MASKS[0:2, :2], MASKS[2, 0], MASKS[3:5, 1:] = 1, 2, 3


def samples() -> pd.DataFrame:
    rows = [("train", pid, camid, 1, 1, f"train/{pid}_{camid}.jpg", "main") for pid, camid in PEOPLE]
    rows += [("query", 5, 1, 1, 1, HOSTILE, "main"), ("query", 6, 1, 1, 1, "query/6.jpg", "main")]
    rows += [("gallery", pid, 2, 1, 1, f"gallery/{pid}.jpg", "main") for pid in (0, 5, 6)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


PEOPLE = [(3, 1), (3, 2), (8, 1), (9, 1), (9, 2)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two rounds of a run with truth and parsing."""
    rng = np.random.default_rng(0)
    write_store(tmp_path / "images.zarr", {"images": rng.integers(0, 256, (10, 16, 8, 3), np.uint8)})
    truth = np.zeros((10, 16, 8), np.uint8)
    truth[:3, :8] = 1
    truth[3:5, 4:] = 3
    write_store(tmp_path / "truth.zarr", {"truth": truth}, part_classes=4)
    rounds = {}
    for number, name in enumerate(["r1", "r2"], 1):
        write_store(
            tmp_path / f"{name}.zarr", {"masks": MASKS, "labels": MASKS + 9}, source="hcnet", epoch=0, part_classes=4
        )
        likely = np.tile(np.array([0.2, 0, 0.1], np.float32), (10, 1))
        parsed = np.zeros((10, 4, 2), np.uint8)
        parsed[:5] = MASKS
        parsed[0, 3] = 2
        embeddings = {"likely": likely, "guided": 0 * likely, "peak": likely, "parsed": parsed}
        write_store(tmp_path / f"e{name}.zarr", embeddings, parsing=True, epoch=number)
        table = pd.DataFrame(
            {"pid": [9, 8, 3], "images": [2, 1, 2], "labels_left": [16, 17, 18], "foreground_share": [75.0, 25.0, 50.0]}
        ).assign(agreement_previous=[np.nan, 80.0, 90.0], warnings=["no head", np.nan, np.nan])
        rankings = pd.DataFrame(
            {
                "query": [f"main/{HOSTILE}"] * 2 + ["main/query/6.jpg"] * 2,
                "rank": [1, 2] * 2,
                "gallery": [f"main/gallery/{pid}.jpg" for pid in (5, 0, 0, 5)],
                "similarity": [0.9, 0.5, 0.8, 0.4],
                "hit": [True, False, False, False],
            }
        )
        stores = open_store(tmp_path / f"{name}.zarr"), open_store(tmp_path / f"e{name}.zarr")
        cmc = pd.DataFrame({"rank": [1, 2], "cmc": [50.0, 50.0]})
        rounds[name] = Round({"epoch": number}, cmc, rankings, stores[0], table, stores[1])
    figures = pd.DataFrame({"round": ["r1", "r2"], **{key: [1.0, 2.0] for key in KEYS}, "epoch": [1, 2]})
    history = pd.DataFrame({"epoch": [1, 2], "loss": [3.0, 2.0], "image": [2.0, 1.0], "accuracy": [10.0, 20.0]})
    times = {"train@r1": Finished("train@r1", 1.0, 61.5, 2000.0), "prepare": Finished("prepare", 0.0, 3.0, 300.0)}
    images, true = array(open_store(tmp_path / "images.zarr"), "images"), open_store(tmp_path / "truth.zarr")
    params = f"seed: 1  # {HOSTILE}"
    return Run(samples(), images, true, history, figures, rounds, params, MATCHING, times, f"commit 1a2b3 {HOSTILE}")


KEYS = [
    "masks_iou_foreground",
    "masks_iou_guess",
    "masks_iou_parts",
    "masks_foreground_share",
    "masks_inside_occluders",
    "masks_truth_inside_occluders",
    "masks_agreement_previous",
    "parsing_head_agreement",
    "parsing_head_train_iou_foreground",
    "parsing_head_test_iou_foreground",
    "parsing_head_test_inside_occluders",
    "visibility_query_empty",
    "retrieval_rank1",
    "retrieval_rank5",
    "retrieval_mAP",
    "retrieval_mINP",
    "retrieval_reranked_rank1",
    "retrieval_reranked_mAP",
    "retrieval_multi_query_rank1",
    "retrieval_multi_query_mAP",
    "verification_tpr_at_fpr_1e-3",
    "open_set_dir_at_far_1e-1",
]


class Page(html.parser.HTMLParser):
    """Collects tags with their attributes, and checks that they close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "path", "use", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(run: Run) -> None:
    text = build_page(run)
    page = Page(text)
    assert page.open == []
    addresses = [value or "" for tag, given in page.tags for key, value in given.items() if key in {"src", "href"}]
    assert len(addresses) > 20
    sheets = {SHEET.format(name) for name in run.rounds}  # which stand beside it
    assert sheets <= set(addresses)
    assert all(address.startswith(("data:image/webp;base64,", "#")) for address in set(addresses) - sheets)
    inside = {given["id"] for tag, given in page.tags if tag == "section"}
    assert {address[1:] for address in addresses if address.startswith("#")} & inside == inside
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "http-equiv" not in text
    assert "@import" not in text
    assert text == build_page(run)


def test_names_code_and_params_are_shown_and_never_run(run: Run) -> None:
    text = build_page(run)
    assert "<script>alert" not in text
    shown = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;"
    assert f"<pre>seed: 1  # {shown}" in text
    assert f"Code: commit 1a2b3 {shown}" in text
    assert "<details" not in text, "which is not printed"


def test_identities_the_worst_first(run: Run) -> None:
    text = build_page(run)
    section = text[text.index("Identities in r2, the worst first") : text.index("Retrieval in r2")]
    rows = re.findall(r"<tr><td>(\d+)</td>", section)
    assert rows == ["9", "8", "3"]  # as in the table
    masks = text[text.index("The worst") : text.index("Identities in r2, the worst first")]
    assert re.findall(r"<h4>Identity (\d+)", masks) == ["9", "8", "3"]
    sample = text[text.index("A sample") : text.index("The worst")]
    assert re.findall(r"<h4>Identity (\d+)", sample) == ["3", "8", "9"]
    assert "<strong>no head</strong>" in masks
    assert re.findall(r"<span>(\w+)</span><img", masks)[:4] == ["images", "r1", "r2", "truth"]


def test_as_many_of_the_worst_as_there_is_room_for_in_their_order(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "IDENTITIES", 2)
    sample, worst = draw_strips(run, "r2").values()
    assert [entry["pid"] for entry in worst] == [9, 8]  # as in the table
    assert [entry["pid"] for entry in sample] == [3, 9]
    backwards = run.rounds["r2"]._replace(identities=run.rounds["r2"].identities.iloc[::-1])
    assert [entry["pid"] for entry in draw_strips(run._replace(rounds={"r2": backwards}), "r2")["The worst"]] == [3, 8]


def test_figures_of_an_identity_are_in_words(run: Run) -> None:
    first, second = draw_strips(run, "r2")["The worst"][:2]
    assert (first["figures"], first["warnings"]) == ("16 labels left, 75 % foreground", "no head")
    assert second["figures"] == "17 labels left, 25 % foreground, 80 % as in the round before"


def test_every_column_is_explained_where_it_is_shown(run: Run) -> None:
    assert set(terms.FIGURES) == set(SHOWN)
    masks = np.zeros((1, 4, 2), np.uint8)
    columns = ["pid", *describe_masks(masks, masks, masks, 4), "repaired", "agreement_head", "iou_foreground"]
    spoken = {column.replace("_", " ") for column in columns} - {f"{part} share" for part in ("head", *BODY)}
    assert spoken <= set(terms.IDENTITIES)
    assert {name.replace("_", " ") for name in terms.IDENTITY} <= set(terms.IDENTITIES)
    assert set(terms.CHARTS) <= set(draw_charts(run))
    explained = re.findall("<dt>(.*?)</dt>", build_page(run))
    assert explained == [*SHOWN, "pid", "labels left", "foreground share", "agreement previous"]
    without = run._replace(figures=run.figures.assign(masks_iou_guess=np.nan))
    assert "guess" not in re.findall("<dt>(.*?)</dt>", build_page(without))


def test_without_parsing_there_are_no_masks(run: Run, tmp_path: Path) -> None:
    arrays = dict.fromkeys(("likely", "guided", "peak"), np.zeros((10, 3), np.float32))
    write_store(tmp_path / "none.zarr", arrays, parsing=False)
    rounds = {name: of._replace(embeddings=open_store(tmp_path / "none.zarr")) for name, of in run.rounds.items()}
    figures = run.figures.assign(**{key: np.nan for key in KEYS if not key.startswith("retrieval")})
    text = build_page(run._replace(rounds=rounds, figures=figures, history=run.history.iloc[:0], times={}))
    assert Page(text).open == []
    for absent in ("Masks by round", "the worst first", "Run times", "Loss and its terms"):
        assert absent not in text
    assert "Retrieval in r2" in text


def test_ranked_lists_of_a_sample_and_of_the_surest_mistakes(run: Run) -> None:
    lists = list_retrieval(run, "r2")
    sample, mistakes = lists.values()
    assert [query["pid"] for query in sample] == [5, 6]
    assert [query["pid"] for query in mistakes] == [6]
    first = sample[0]["gallery"][0]
    assert (first["pid"], first["hit"], first["rank"], first["similarity"]) == (5, True, 1, 0.9)
    assert first["seen"] == ["head", "lower body"]
    strict = run.matching.model_copy(update={"visibility": "share", "least_share": 1.0})
    assert next(iter(list_retrieval(run._replace(matching=strict), "r2").values()))[0]["seen"] == []


def test_the_surest_mistakes_come_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equals the first in the table; one query has a hit at the end of its list."""
    queries = ["main/query/6.jpg", *(f"main/train/{pid}_{camid}.jpg" for pid, camid in PEOPLE)]
    first = [0.5, 0.7, 0.6, 0.7, 0.9, 0.8]
    rankings = pd.DataFrame(
        {
            "query": np.repeat(queries, 2),
            "rank": [1, 2] * 6,
            "gallery": ["main/gallery/5.jpg", "main/gallery/0.jpg"] * 6,
            "similarity": [value for of in first for value in (of, 0.4 - of / 4)],
            "hit": [False] * 9 + [True] + [False] * 2,
        }
    )
    changed = run._replace(rounds={"r2": run.rounds["r2"]._replace(rankings=rankings)})
    monkeypatch.setattr(build, "QUERIES", 4)
    sample, mistakes = list_retrieval(changed, "r2").values()
    assert [queries.index(query["path"]) for query in mistakes] == [5, 1, 3, 2]
    assert [queries.index(query["path"]) for query in sample] == [0, 2, 3, 5]
    assert [entry["rank"] for entry in mistakes[0]["gallery"]] == [1, 2]


def test_parts_are_named_that_show_half_or_more(run: Run, tmp_path: Path) -> None:
    seen = np.tile(np.array([0.5, 0.51, 0.49], np.float32), (10, 1))
    write_store(tmp_path / "soft.zarr", {"likely": seen, "guided": 0 * seen, "peak": seen}, parsing=True)
    rounds = {"r2": run.rounds["r2"]._replace(embeddings=open_store(tmp_path / "soft.zarr"))}
    soft = run.matching.model_copy(update={"visibility": "soft"})
    sample, _ = list_retrieval(run._replace(rounds=rounds, matching=soft), "r2").values()
    assert sample[0]["seen"] == ["head", "upper body"]


def test_times_by_stage_and_round() -> None:
    """A data set is no round; r9 was one of an earlier run."""
    stages = {
        "train@r2": 40.0,
        "train@r1": 61.5,
        "train@r9": 7.0,
        "catalogue@main": 2.0,
        "catalogue@b": 1.0,
        "report": 3,
    }
    times = {name: Finished(name, 0.0, seconds, 300.0 + seconds) for name, seconds in stages.items()}
    table = tabulate_times(times, ["r1", "r2"])
    assert table is not None
    assert table.columns.tolist() == ["stage", "once", "r1", "r2", "all", "largest process, MB"]
    assert table.fillna(-1).to_numpy().tolist() == [
        ["train", -1, 61.5, 40.0, 101.5, 361.5],
        ["catalogue", 3.0, -1, -1, 3.0, 302.0],
        ["report", 3.0, -1, -1, 3.0, 303.0],
        ["all", 6.0, 61.5, 40.0, 107.5, 361.5],
    ]
    assert tabulate_times({}, ["r1"]) is None


def test_the_set_in_words() -> None:
    assert describe_set(samples())[2] == "gallery: 3 images of 2 identities at 1 camera"


def test_charts_take_the_colour_of_the_page() -> None:
    values = {"Rank-1": pd.Series([1.0, 2.0], [1, 2]), "a <b> & c": pd.Series([2.0, np.nan], [1, 2])}
    element = draw_curves(values, "epoch", "per cent")
    assert element.startswith("<svg ")
    assert not re.search(r"<svg[^>]* (width|height)=", element)
    assert "currentColor" in element
    assert "#010203" not in element
    assert "a &lt;b&gt; &amp; c" in element
    assert element == draw_curves(values, "epoch", "per cent")
    assert Page(element).open == []


def test_no_two_curves_look_alike() -> None:
    assert len(set(LINES)) == len({line[:2] for line in LINES}) == 24
    assert LINES[:6] == list(zip(COLOURS, [*DASHES, *DASHES[:2]], MARKERS, strict=True))


def test_pictures_are_webp_and_keep_their_size() -> None:
    import base64
    import io

    from PIL import Image

    def decode(address: str) -> Any:
        return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/webp;base64,"))))

    pixels = np.full((3, 16, 8, 3), 200, np.uint8)
    assert decode(embed_picture(pixels[0])).size == (8, 16)
    row = decode(embed_row(pixels))
    assert (row.format, row.size) == ("WEBP", (3 * 8 + 2, 16))


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (3, [0, 1, 2]), (10, [0, 3, 6, 9])])
def test_a_sample_is_spread_evenly(count: int, expected: list[int]) -> None:
    assert spread(np.arange(count), 4).tolist() == expected


@pytest.fixture
def opened(run: Run, tmp_path: Path, tab: Callable[[], Any]) -> Any:
    """Give the report in a browser, opened from disk."""
    (tmp_path / "index.html").write_text(build_page(run), "utf-8")
    page = tab()
    page.goto((tmp_path / "index.html").as_uri())
    return page


@pytest.mark.slow
def test_in_a_browser_a_heading_sorts_and_what_is_not_known_comes_last(opened: Any) -> None:
    table = opened.locator("table.sortable")

    def sorted_by(name: str) -> list[str]:
        table.locator(f'button:text-is("{name}")').click()
        return [str(text) for text in table.locator("tbody td:first-child").all_inner_texts()]

    assert opened.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert sorted_by("pid") == ["3", "8", "9"]
    assert sorted_by("pid") == ["9", "8", "3"]
    assert table.locator("th[aria-sort]").evaluate_all("(all) => all.map((one) => one.ariaSort)") == ["descending"]
    assert sorted_by("labels left") == ["9", "8", "3"]
    assert sorted_by("foreground share") == ["8", "3", "9"]
    assert sorted_by("agreement previous") == ["8", "3", "9"]  # 80, 90, not known
    assert sorted_by("agreement previous") == ["3", "8", "9"]
    assert table.locator("th[aria-sort]").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_in_a_browser_it_is_no_wider_than_the_window(opened: Any, width: int, scheme: str) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    opened.emulate_media(color_scheme=scheme)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert (brightness(opened, "color") > brightness(opened, "backgroundColor")) == (scheme == "dark")


@pytest.mark.slow
def test_in_a_browser_it_prints_whole_and_dark_on_white(opened: Any) -> None:
    hidden, cut = opened.locator("nav"), opened.locator("#identities .wide")
    assert hidden.is_visible()
    assert cut.evaluate("(one) => getComputedStyle(one).overflowY") == "auto"
    opened.emulate_media(media="print", color_scheme="dark")
    assert not hidden.is_visible()
    assert opened.locator(".screen").count() == 2
    assert opened.locator(".screen:visible").count() == 0
    assert cut.evaluate("(one) => getComputedStyle(one).overflowY + getComputedStyle(one).maxHeight") == "visiblenone"
    assert (brightness(opened, "color"), brightness(opened, "backgroundColor")) == (0, 3 * 255)
    assert opened.pdf().startswith(b"%PDF")


def brightness(page: Any, of: str) -> int:
    """Sum of the channels of a colour of the page."""
    return sum(map(int, page.evaluate(f"getComputedStyle(document.body).{of}")[4:-1].split(",")))


def test_a_curve_may_be_called_as_a_formula_or_as_html() -> None:
    """Branches may, in `hcga view`."""
    drawn = draw_curves({name: pd.Series([1.0, 2.0]) for name in ("$_$", "<b>&", "a$b")}, "epoch", "loss")
    assert "$_$" in drawn
    assert "&lt;b&gt;&amp;" in drawn
    assert "<b>" not in drawn
