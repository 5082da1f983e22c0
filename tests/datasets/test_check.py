import pandas as pd
import pytest

from hcga.datasets.catalogue import join_tables
from hcga.datasets.check import check_counts, compare_counts, examine_table, format_counts, make_samples
from hcga.datasets.readers import LAYOUTS
from hcga.errors import InputError
from hcga.files import digest
from hcga.samples import SplitCounts, count_splits

# Two identities train, two are tested at two cameras, with a distractor and junk.
SOUND = [
    ("train", 1, 1),
    ("train", 1, 2),
    ("train", 2, 1),
    ("train", 2, 2),
    ("query", 3, 1),
    ("query", 4, 2),
    ("gallery", 3, 2),
    ("gallery", 4, 1),
    ("gallery", 4, 1),
    ("gallery", 0, 2),
    ("gallery", -1, 2),
]


def table(rows: list[tuple[str, int, int]] = SOUND, same: tuple[int, ...] = ()) -> pd.DataFrame:
    """Give a table of files a, b, c, ...; those of the rows `same` have one content."""
    frame = pd.DataFrame(rows, columns=["split", "pid", "camid"])
    frame["path"] = [chr(ord("a") + number) for number in range(len(rows))]
    frame[["sequence", "frame", "dataset"]] = [0, 0, "main"]
    return frame.assign(digest=["same" if number in same else str(number) for number in range(len(rows))])


def texts(frame: pd.DataFrame) -> list[str]:
    return [f"{finding.severity}: {finding.text}" for finding in examine_table(frame)]


def test_counts_leave_junk_and_distractors_out_of_the_identities() -> None:
    assert count_splits(table()) == [
        SplitCounts("train", 4, 2, 2, 0, 0),
        SplitCounts("query", 2, 2, 2, 0, 0),
        SplitCounts("gallery", 5, 2, 2, 1, 1),
    ]
    assert "gallery" in format_counts(count_splits(table()))


def test_a_sound_table_has_no_findings() -> None:
    assert texts(table()) == []


@pytest.mark.parametrize(
    ("rows", "same", "expected"),
    [
        ([*SOUND, ("train", 3, 2)], (), "error: 1 identities both train and are tested: 3; see l and e"),
        (
            SOUND[:6] + SOUND[7:],
            (),
            "warning: 1 of 2 queries have no gallery image of their identity at another camera: e",
        ),
        (
            [*SOUND[:6], ("gallery", 3, 1), ("gallery", 4, 2)],
            (),
            "error: 2 of 2 queries have no gallery image of their identity at another camera: e, f",
        ),
        (SOUND, (0, 4), "error: 1 files both train and are tested: a = e"),
        (SOUND, (0, 2), "warning: 1 files are there under several identities: a = c"),
        (SOUND, (7, 8), "warning: 1 files are there twice in one split: h = i"),
        ([*SOUND, ("train", 5, 1)], (), "warning: 1 training identities have one image: 5"),
        ([*SOUND, ("train", 5, 3)], (), "warning: 1 cameras have one image: 3"),
        (
            [*SOUND, ("train", 5, 1), ("train", 5, 1)],
            (),
            "warning: 1 training identities are seen by one camera only: 5",
        ),
        (
            [*SOUND, ("gallery", 3, 2)],
            (4, 6),
            "error: 1 files are query and gallery, not of one identity at one camera, so that a query finds",
        ),
        (
            [*SOUND, ("train", 0, 1)],
            (),
            "error: 1 images of junk (pid -1) or distractors (0) outside the gallery; people",
        ),
        (
            [*SOUND, ("query", -1, 1)],
            (),
            "error: 1 images of junk (pid -1) or distractors (0) outside the gallery; people",
        ),
        (SOUND[:2] + SOUND[4:], (), "error: one training identity: there is nobody to tell it from"),
    ],
)
def test_what_is_wrong_is_found(rows: list[tuple[str, int, int]], same: tuple[int, ...], expected: str) -> None:
    assert any(text.startswith(expected) for text in texts(table(rows, same)))


def test_a_query_that_lies_in_the_gallery_too_is_as_published() -> None:
    """Occluded-DukeMTMC has them; they are of the query's own camera and so ignored."""
    assert texts(table([*SOUND, ("gallery", 3, 1)], (4, len(SOUND)))) == []


@pytest.mark.parametrize("content", [b"", None])
def test_files_that_are_empty_or_not_there_are_no_doubles(content: bytes | None) -> None:
    """They cannot be decoded, which is said elsewhere, and may be left out."""
    frame = table(SOUND, (0, 4))
    assert any("both train and are tested" in text for text in texts(frame))
    assert texts(frame.replace("same", "" if content is None else digest(content))) == []


def test_findings_name_the_data_set_if_there_are_several() -> None:
    joined = join_tables({"one": table(same=(7, 8)), "two": table()})
    assert texts(joined.assign(digest=joined["dataset"] + joined["digest"])) == [
        "warning: 1 files are there twice in one split: one:h = one:i"
    ]


def test_a_file_of_two_data_sets_is_of_two_people() -> None:
    joined = join_tables({"one": table(), "two": table().assign(digest="x")})
    assert "error: 1 files are in several data sets, as different people: one:h = two:h" in texts(
        joined[joined["path"] == "h"].assign(digest="same")
    )


def test_a_copy_that_is_junk_is_no_double() -> None:
    assert texts(table(SOUND, (4, 10))) == []


def test_a_camera_of_one_set_is_none_of_the_other() -> None:
    lonely = join_tables({"one": table([*SOUND, ("train", 2, 3)]), "two": table([*SOUND, ("train", 2, 3)])})
    assert "warning: 2 cameras have one image: 3, 3" in texts(lonely.assign(digest=""))


def test_the_sample_table_is_settled_or_what_it_lacks_is_found() -> None:
    samples, findings = make_samples(table(), None)
    assert samples is not None
    assert samples["split"].tolist() == ["train"] * 4 + ["query"] * 2 + ["gallery"] * 5
    assert findings == []
    for lacking in ("train", "query", "gallery"):
        samples, findings = make_samples(table([row for row in SOUND if row[0] != lacking]), None)
        assert samples is None
        assert findings[0] == ("error", f"split {lacking} holds no image; look at the roots and splits of datasets")
    samples, findings = make_samples(table(), 0.9)
    assert samples is None
    assert findings[0].text.startswith("prepare.validation: 0.9 of 2 training identities")


def test_with_validation_only_overlap_with_the_test_matters() -> None:
    people = [("train", pid, camid) for pid in (1, 2, 3, 4) for camid in (1, 1, 2, 2)]
    spoilt = [("query", 1, 1), ("gallery", 9, 2)]
    assert make_samples(table([*people, *spoilt]), None)[1][0].severity == "error"
    samples, findings = make_samples(table([*people, *spoilt]), 0.3)
    assert samples is not None
    assert [finding.text for finding in findings] == ["1 identities both train and are tested: 1; see a and q"]
    assert len(samples) == len(people)
    assert make_samples(table([*people, ("query", 8, 1), ("gallery", 9, 2)]), 0.3)[1] == []


def test_errors_come_first_and_long_lists_are_cut() -> None:
    found = texts(table([*SOUND, *(("train", pid, 1) for pid in range(10, 18)), ("train", 4, 1)]))
    assert found[0] == "error: 1 identities both train and are tested: 4; see t and f"
    assert "warning: 9 training identities have one image: 4, 10, 11, 12, 13, and 4 more" in found


def test_counts_are_compared_with_the_published_ones() -> None:
    (finding,) = compare_counts(table(), "market1501", "warn")
    assert finding.severity == "warning"
    assert (
        "train 4 / 2, query 2 / 2, gallery 4 / 2, but market1501 was published with train 12,936 / 751" in finding.text
    )
    assert "Zheng et al., ICCV 2015" in finding.text
    assert compare_counts(table(), "folder", "error") == []


@pytest.mark.parametrize("layout", [name for name, layout in LAYOUTS.items() if layout.counts])
def test_the_published_counts_are_those_that_are_wanted(layout: str) -> None:
    rows = []
    for number, (split, (images, identities)) in enumerate(LAYOUTS[layout].counts.items()):
        pids = [identity + 1 + number * 10_000 for identity in range(identities)]
        rows += [(split, pids[image % identities], 1) for image in range(images)]
    frame = pd.DataFrame(rows, columns=["split", "pid", "camid"])
    assert compare_counts(frame, layout, "error") == []
    assert compare_counts(frame[1:], layout, "warn")


@pytest.mark.parametrize("choice", ["warn", "error", "ignore"])
def test_a_difference_stops_only_if_it_shall(choice: str, caplog: pytest.LogCaptureFixture) -> None:
    if choice == "error":
        with pytest.raises(InputError, match="counts differ from the published ones:\n  images / identities are"):
            check_counts(table(), "market1501", choice)
    else:
        check_counts(table(), "market1501", choice)
    warned = any("was published with" in record.getMessage() for record in caplog.records)
    assert warned == (choice == "warn")


def test_identities_of_several_data_sets_are_different_people() -> None:
    tables = {"one": table(), "two": table(), "three": table()}
    joined = join_tables(tables)
    assert joined["dataset"].value_counts().to_dict() == dict.fromkeys(tables, len(SOUND))
    by_set = {name: sorted(set(joined.loc[joined["dataset"] == name, "pid"])) for name in tables}
    many = join_tables({"one": table([("train", 12, 1)]), "two": table([("train", 1, 1), ("train", 2, 1)])})
    assert many["pid"].tolist() == [12, 101, 102], "12 is not person 2 of the second set"
    assert by_set == {"one": [-1, 0, 1, 2, 3, 4], "two": [-1, 0, 11, 12, 13, 14], "three": [-1, 0, 21, 22, 23, 24]}
