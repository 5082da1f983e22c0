"""Other revisions of a pipeline, and how their masks differ: a small repository with DVC's cache and a remote."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from conftest import DEFAULT
from PIL import Image

from hcga.cli.main import main
from hcga.errors import InputError
from hcga.masks import comparison
from hcga.masks.comparison import changed_shares, compare_masks, describe_difference
from hcga.masks.parts import UNLABELLED
from hcga.runs.revisions import WORKSPACE, Place, Revision, find_place, open_revision
from hcga.runs.workspace import Workspace
from hcga.samples import COLUMNS, write_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store, read_all
from hcga.view.pages import read_figures
from hcga.view.places import Archive

STAGES = """stages:
  prepare:
    cmd: python pipeline/prepare.py --samples data/samples.csv --images data/images.zarr --truth data/truth.zarr
    outs: [data/samples.csv, data/images.zarr, data/truth.zarr]
  coparse:
    foreach: ${rounds}
    do:
      cmd: python pipeline/coparse.py --masks data/masks/${key}.zarr
      outs:
        - data/masks/${key}.zarr
"""
EVALUATION = """  evaluate:
    foreach: ${rounds}
    do:
      cmd: python pipeline/evaluate.py --metrics data/metrics/${key}.json
"""
FIRST = np.arange(5 * 8, dtype=np.uint8).reshape(5, 4, 2) % 4
PEOPLE = [(3, 1), (3, 2), (8, 1), (9, 1), (9, 2)]


def write_people(root: Path, people: list[tuple[int, int]]) -> None:
    rows = [("train", pid, camid, 1, 1, f"{pid}_{camid}.jpg", "main") for pid, camid in people]
    write_samples(pd.DataFrame(rows, columns=list(COLUMNS)), root / "data/samples.csv")


def write_masks(root: Path, masks: np.ndarray) -> None:
    shutil.rmtree(root / "data/masks/r1.zarr", ignore_errors=True)
    write_store(root / "data/masks/r1.zarr", {"masks": masks, "labels": masks + 20}, source="hcnet", part_classes=4)


def call(root: Path, *command: str) -> None:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def read(root: Path, *command: str) -> str:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def commit(root: Path, message: str) -> None:
    call(root, sys.executable, "-m", "dvc", "commit", "--force", "--quiet")
    call(root, "git", "add", "-A")
    call(root, "git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", message)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a repository with two commits; the tag `first` has other masks of identities 3 and 9."""
    root = tmp_path_factory.mktemp("revisions") / "checkout"
    (root / "data" / "masks").mkdir(parents=True)
    (root / "dvc.yaml").write_text(STAGES)
    (root / ".gitignore").write_text("/data/\n/.hcga/\n")
    params = DEFAULT.read_text().replace("  r2: {prev: r1, until_epoch: 12}\n  r3: {prev: r2, until_epoch: 18}\n", "")
    (root / "params.yaml").write_text(params)
    write_people(root, PEOPLE)
    write_store(root / "data/images.zarr", {"images": np.full((5, 16, 8, 3), 99, np.uint8)})
    write_store(root / "data/truth.zarr", {})
    write_masks(root, FIRST)
    call(root, "git", "init", "-q")
    call(root, sys.executable, "-m", "dvc", "init", "-q")
    commit(root, "first")
    call(root, "git", "tag", "first")
    call(root, sys.executable, "-m", "dvc", "remote", "add", "-q", "--default", "store", str(root.parent / "remote"))
    call(root, sys.executable, "-m", "dvc", "push", "-q")
    changed = FIRST.copy()
    changed[0, 0], changed[3:], changed[4, 0, 0] = [2, 3], 0, UNLABELLED
    write_masks(root, changed)
    (root / "params.yaml").write_text(params.replace("seed: 1\n", "seed: 2\n", 1))
    commit(root, "second")
    call(root, sys.executable, "-m", "dvc", "push", "-q")
    return root


@pytest.fixture
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(repository)
    yield repository
    shutil.rmtree(repository / ".hcga", ignore_errors=True)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["masks", *arguments])


def masks_of(workspace: Workspace) -> np.ndarray:
    return read_all(array(open_store(workspace.path("coparse", "masks", "r1")), "masks"))


def test_git_s_files_are_read_whole(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As streams pygit2 reads them in a second thread, and at times the two wait for each other."""

    def stream(*_: Any, **__: Any) -> None:
        raise AssertionError("reads a stream")

    monkeypatch.setattr("pygit2.BlobIO", stream)
    first = open_revision(inside, "first")
    assert first.path("coparse", "masks", "r1").is_dir()


def test_a_revision_has_its_own_params_and_masks(inside: Path) -> None:
    first, now = open_revision(inside, "first"), open_revision(inside, "workspace")
    assert (first.params.seed, now.params.seed) == (1, 2)
    np.testing.assert_array_equal(masks_of(first), FIRST)
    assert (masks_of(now) != FIRST).any()
    np.testing.assert_array_equal(masks_of(open_revision(inside, "HEAD")), masks_of(now))
    assert now.root == inside


def test_nothing_is_copied_from_the_cache_and_the_checkout_stays(inside: Path) -> None:
    before = {path: path.read_bytes() for path in (inside / "data").rglob("*") if path.is_file()}
    path = open_revision(inside, "first").path("coparse", "masks", "r1")
    files = [file for file in path.rglob("*") if not file.is_dir()]
    assert files
    assert all(file.is_symlink() and ".dvc/cache" in str(file.readlink()) for file in files)
    assert {path: path.read_bytes() for path in (inside / "data").rglob("*") if path.is_file()} == before


@contextmanager
def moved_away(*folders: Path) -> Iterator[None]:
    for folder in folders:
        folder.rename(folder.with_name(f"{folder.name}.away"))
    try:
        yield
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.away").rename(folder)


def test_what_the_cache_lacks_comes_from_the_remote(inside: Path) -> None:
    """Which is younger than the revision."""
    revision = open_revision(inside, "first")
    np.testing.assert_array_equal(masks_of(revision), FIRST)
    with moved_away(inside / ".dvc/cache/files"):  # what was linked is gone, as after `dvc gc`
        np.testing.assert_array_equal(masks_of(revision), FIRST)


def test_what_is_damaged_or_deleted_comes_again(inside: Path) -> None:
    revision = open_revision(inside, "first")
    with moved_away(inside / ".dvc/cache/files"):  # so that there are copies
        file = max(revision.path("coparse", "masks", "r1").rglob("masks/c/*/*/*"))
        content = file.read_bytes()
        for damaged in (content[:-1], content[:-1] + b"x"):
            file.write_bytes(damaged)
            np.testing.assert_array_equal(masks_of(revision), FIRST)
        file.unlink()
        np.testing.assert_array_equal(masks_of(revision), FIRST)
        revision.path("prepare", "samples").write_text("damaged")
        assert "damaged" not in revision.path("prepare", "samples").read_text()


def test_what_is_as_it_was_placed_is_not_placed_again(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = open_revision(inside, "first").path("coparse", "masks", "r1")
    monkeypatch.setattr(Revision, "_place", None)
    assert open_revision(inside, "first").path("coparse", "masks", "r1") == path


@pytest.mark.parametrize("warm", [True, False])
def test_what_neither_cache_nor_remote_has_is_said_to_be_gone(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: bool
) -> None:
    """Warm: DVC remembers from before which files there are."""
    if not warm:
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    with moved_away(inside / ".dvc/cache/files", inside.parent / "remote"):
        revision = open_revision(inside, "first")
        assert revision.has("coparse", "masks", "r1")
        words = r"data/masks/r1.zarr.* of revision \w{7} is not in DVC's cache and cannot be had.*or choose another one"
        with pytest.raises(InputError, match=words):
            masks_of(revision)
        with pytest.raises(InputError, match=words):
            Archive(inside).store(Place("first", "r1"), "coparse", "masks")
        result = run("diff", "first")
        assert (result.exit_code, "is not in DVC's cache" in result.stderr) == (1, True)


def test_what_a_revision_never_had(inside: Path) -> None:
    revision = open_revision(inside, "first")
    assert not revision.has("evaluate", "metrics", "r1")
    assert not revision.has("coparse", "table", "r1")
    words = "first:r1: no masks of this round yet; run `dvc repro`, or choose another round or revision"
    with pytest.raises(InputError, match=words):
        Archive(inside).table(Place("first", "r1"))
    with pytest.raises(InputError, match=r"no round 'r9' in params\.yaml"):
        revision.has("coparse", "masks", "r9")
    (revision.root / "dvc.yaml").write_text(STAGES.replace("data/masks/", "data/others/"))
    with pytest.raises(InputError, match=r"data/others/r1.zarr: revision \w{7} has none, its stage had not run"):
        Revision(inside, "first").path("coparse", "masks", "r1")


def test_a_revision_may_have_some_of_its_rounds(inside: Path) -> None:
    revision = open_revision(inside, "first")
    params = revision.params_file.read_text()
    line = "  r1: {prev: init, until_epoch: 6}\n"
    revision.params_file.write_text(params.replace(line, f"{line}  r2: {{prev: r1, until_epoch: 12}}\n"))
    assert Archive(inside).rounds("first") == ["r1"]
    (revision.root / "dvc.yaml").write_text(f"{STAGES}{EVALUATION}")
    with pytest.raises(InputError, match="first: no figures yet; run `dvc repro`, or choose another revision"):
        read_figures(open_revision(inside, "first"), "first")


def test_a_revision_in_which_no_stage_has_run(inside: Path) -> None:
    revision = open_revision(inside, "first")
    (revision.root / "dvc.lock").unlink()
    assert not revision.has("coparse", "masks", "r1")
    with pytest.raises(InputError, match="its stage had not run"):
        revision.path("coparse", "masks", "r1")


def test_a_picture_says_of_which_revision_it_is(inside: Path) -> None:
    """In its name and its title, so that neither hides another."""
    draw = ["draw", "--round", "r1", "--pid", "3"]
    assert [run(*draw, *rev).output for rev in ([], ["--rev", "first"])] == [
        "masks-r1-3.png\n",
        "masks-first-r1-3.png\n",
    ]
    with Image.open("masks-r1-3.png") as now, Image.open("masks-first-r1-3.png") as then:
        titles = [np.asarray(picture)[:14] for picture in (now, then)]
    assert titles[0].shape != titles[1].shape or (titles[0] != titles[1]).any()


def test_many_threads_may_ask_for_a_revision_at_once(inside: Path) -> None:
    """As a page does that has many pictures, and the commands beside it."""
    for _ in range(3):
        shutil.rmtree(inside / ".hcga", ignore_errors=True)
        images, asked = Archive(inside).images, ["first", "HEAD"] * 6
        with ThreadPoolExecutor(12) as pool:
            of_archive = pool.map(images, asked)
            alone = pool.map(lambda rev: masks_of(open_revision(inside, rev)), asked)
            assert all((read_all(found) == 99).all() for found in of_archive)
            assert [np.array_equal(masks, FIRST) for masks in alone] == [rev == "first" for rev in asked]


def test_params_of_another_version_are_said_to_be_so(inside: Path) -> None:
    file = open_revision(inside, "first").root / "params.yaml"
    file.write_text(file.read_text().replace("seed: 1\n", "", 1))
    words = r"(?s)revision (\w{7}) is of another version of this program .*seed: missing.*git worktree add ../\1 \1"
    with pytest.raises(InputError, match=words):
        open_revision(inside, "first").params  # noqa: B018


def test_a_revision_by_itself_is_its_last_round(inside: Path) -> None:
    rounds = [*Workspace(inside).params.rounds]
    assert find_place(inside, rounds[0]) == Place(WORKSPACE, rounds[0])
    assert find_place(inside, f"HEAD:{rounds[0]}") == Place("HEAD", rounds[0])
    assert find_place(inside, "HEAD") == Place("HEAD", rounds[-1])
    with pytest.raises(InputError, match=rf"no round of params\.yaml \({', '.join(rounds)}\), and no revision: .*r99"):
        find_place(inside, "r99")


def test_a_round_that_a_revision_lacks_is_named_with_it(inside: Path) -> None:
    commit = Revision(inside, "first").commit[:7]
    for command in (["diff", "first:r9", "HEAD:r1"], ["draw", "--rev", "first", "--round", "r9", "--pid", "3"]):
        assert f"revision {commit}: no round 'r9' in params.yaml; known: r1" in run(*command).stderr


@pytest.mark.parametrize("name", ["", " ", "first\0", "a\nb"])
def test_a_name_that_is_none(inside: Path, name: str) -> None:
    """DVC itself takes an empty one for the workspace."""
    with pytest.raises(InputError, match=re.escape(f"{name!r}: no such revision (no name)")):
        open_revision(inside, name)


def test_a_name_of_two_experiments(inside: Path) -> None:
    for baseline in ("a" * 38, "b" * 38):  # of two, DVC takes that of HEAD
        call(inside, "git", "update-ref", f"refs/exps/00/{baseline}/twin", "HEAD")
    with pytest.raises(InputError, match=r"^twin: more than one revision has this name, .*; give the commit of one"):
        open_revision(inside, "twin")
    for name in read(inside, "git", "for-each-ref", "--format=%(refname)", "refs/exps/**/twin").split():
        call(inside, "git", "update-ref", "-d", name)


def test_no_such_revision(inside: Path) -> None:
    for name in ("first^{tree}", "first:params.yaml"):
        with pytest.raises(
            InputError, match=re.escape(f"{name}: no such revision (a tree or a file, no commit); give a")
        ):
            open_revision(inside, name)
    with pytest.raises(InputError, match=r"nowhere: no such revision.*give a commit, branch, tag or experiment"):
        open_revision(inside, "nowhere")
    result = run("diff", "nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: nowhere: no such revision")


def test_revisions_without_the_folder_of_dvc(inside: Path) -> None:
    with (
        moved_away(inside / ".dvc"),
        pytest.raises(InputError, match=r"without a folder \.dvc .*`git checkout"),
    ):
        open_revision(inside, "first")


def test_a_revision_without_the_pipeline(inside: Path) -> None:
    empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # Git's tree without files
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    done = subprocess.run(
        ["git", *who, "commit-tree", empty, "-m", "bare"], cwd=inside, check=True, capture_output=True, text=True
    )
    call(inside, "git", "tag", "-f", "bare", done.stdout.strip())
    with pytest.raises(InputError, match=r"bare: has no dvc.yaml; choose a revision of this pipeline"):
        open_revision(inside, "bare")


def test_how_masks_differ(inside: Path) -> None:
    table = compare_masks(open_revision(inside, "first"), open_revision(inside, "workspace"), "r1")
    assert table["pid"].tolist() == [9, 3, 8]
    rows = table.set_index("pid")
    assert rows["images"].to_dict() == {3: 2, 8: 1, 9: 2}
    assert rows["changed"].to_dict() == {9: 80.0, 3: 12.5, 8: 0.0}  # 12 of 15 cells; 2 of 16
    assert rows["foreground_changed"].to_dict() == {9: 80.0, 3: 6.25, 8: 0.0}
    assert rows["foreground_before"].to_dict() == {9: 80.0, 3: 75.0, 8: 75.0}
    assert rows["foreground_after"].to_dict() == {9: 0.0, 3: 81.25, 8: 75.0}
    text = describe_difference("r1", table, 1)
    assert text.splitlines()[0] == "r1: 2 of 3 identities differ, in 37.0 % of the cells"
    assert len(text.splitlines()) == 3


def test_shares_of_each_image_count_cells_that_both_label() -> None:
    before = np.array([[[0, 1], [2, 3]], [[0, 1], [2, UNLABELLED]], [[UNLABELLED] * 2] * 2], np.uint8)
    after = np.array([[[0, 1], [2, 0]], [[1, UNLABELLED], [2, 3]], [[0, 0], [0, 0]]], np.uint8)
    np.testing.assert_array_equal(changed_shares(before, after), [25.0, 50.0, np.nan])


@pytest.mark.parametrize("block", [1, 2, 64])
def test_how_many_identities_are_read_at_once_changes_nothing(
    inside: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    first, now = open_revision(inside, "first"), open_revision(inside, "workspace")
    whole = compare_masks(first, now, "r1")
    monkeypatch.setattr(comparison, "BLOCK", block)
    pd.testing.assert_frame_equal(compare_masks(first, now, "r1"), whole)


def test_masks_that_label_nothing_are_not_the_same(inside: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(inside, other, ignore=shutil.ignore_patterns(".git", ".dvc", ".hcga"))
    nothing = np.full_like(FIRST, UNLABELLED)
    write_masks(other, nothing)
    table = compare_masks(open_revision(inside, "first"), Workspace(other), "r1")
    text = "r1: nothing to compare: of no identity is there a cell that both label"
    assert describe_difference("r1", table, 10) == text
    nothing[3:] = FIRST[3:]  # identity 9
    write_masks(other, nothing)
    table = compare_masks(open_revision(inside, "first"), Workspace(other), "r1")
    assert describe_difference("r1", table, 10) == (
        "r1: 0 of 1 identities differ, in 0.0 % of the cells; 2 without a cell that both label"
    )


def test_the_command_prints_a_line_a_round_and_the_identities(inside: Path) -> None:
    result = run("diff", "first")
    assert result.exit_code == 0, result.output
    line, head, *rows = result.output.splitlines()
    assert line.startswith("r1: 2 of 3 identities differ")
    assert head.split() == ["pid", "images", "changed", "foreground_changed", "foreground_before", "foreground_after"]
    assert [row.split()[0] for row in rows] == ["9", "3"]
    assert run("diff", "HEAD").output == "r1: the masks of all 3 identities are the same\n"
    table = run("diff", "first", "HEAD", "--csv").output
    assert table.splitlines()[0].startswith("round,pid,images,changed")
    assert len(table.splitlines()) == 4


def test_two_rounds_may_be_compared(inside: Path) -> None:
    params = inside / "params.yaml"
    before = params.read_text()
    line = "  r1: {prev: init, until_epoch: 6}\n"
    assert line in before
    params.write_text(before.replace(line, f"{line}  r2: {{prev: r1, until_epoch: 12}}\n"))
    shutil.copytree(inside / "data/masks/r1.zarr", inside / "data/masks/r2.zarr")
    try:
        assert run("diff", "first:r1", "workspace:r2").output.startswith("r1 to r2: 2 of 3 identities differ")
        assert run("diff", "workspace:r2", "HEAD:r1").output == "r2 to r1: the masks of all 3 identities are the same\n"
        assert run("diff", "first:r1").output == run("diff", "first", "--round", "r1").output
        assert run("diff", "first:r1", "--csv").output == run("diff", "first", "--csv", "--round", "r1").output
        result = run("diff", "first:r1", "--round", "r1")
        assert (result.exit_code, "leave it out where FIRST or SECOND names a round" in result.stderr) == (1, True)
        assert "no round 'r2' in params.yaml" in run("diff", "workspace:r2", "first").stderr
    finally:
        params.write_text(before)
        shutil.rmtree(inside / "data/masks/r2.zarr")


def test_images_are_matched_by_name_and_identities_may_be_missing(inside: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(inside, other, ignore=shutil.ignore_patterns(".git", ".dvc", ".hcga"))
    (other / "data/samples.csv").unlink()
    write_people(other, [(3, 2), (7, 1), (9, 1)])
    write_masks(other, np.stack([FIRST[1], FIRST[0], FIRST[3]]))
    table = compare_masks(open_revision(inside, "first"), Workspace(other), "r1").set_index("pid")
    assert table["images"].to_dict() == {7: 0, 8: 0, 3: 1, 9: 1}
    assert table["changed"].dropna().to_dict() == {3: 0.0, 9: 0.0}
    assert table["only_in"].to_dict() == {7: "second", 8: "first", 3: "", 9: ""}
    text = describe_difference("r1", table.reset_index(), 10)
    assert text == "r1: 0 of 2 identities differ, in 0.0 % of the cells; 1 only in the first; 1 only in the second"


def test_masks_of_another_size_cannot_be_compared(inside: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(inside, other, ignore=shutil.ignore_patterns(".git", ".dvc", ".hcga"))
    write_masks(other, np.zeros((5, 8, 4), np.uint8))
    with pytest.raises(InputError, match="masks of 4 x 2 and of 8 x 4 cells; compare runs with images of one size"):
        compare_masks(open_revision(inside, "first"), Workspace(other), "r1")


def test_drawing_an_identity_of_a_revision(inside: Path, tmp_path: Path) -> None:
    for rev in ("first", "HEAD"):
        result = run("draw", "--round", "r1", "--pid", "3", "--rev", rev, "-o", str(tmp_path / f"{rev}.png"))
        assert result.exit_code == 0, result.output
    assert (tmp_path / "first.png").read_bytes() != (tmp_path / "HEAD.png").read_bytes()


def test_exporting_a_revision_takes_images_but_no_repairs_of_the_checkout(inside: Path, tmp_path: Path) -> None:
    image, repair = inside / "data/synthetic/3_1.jpg", inside / "data/repairs/main/3_1.png"
    for file, size in ((image, (20, 40)), (repair, (8, 16))):
        file.parent.mkdir(parents=True)
        Image.new("L", size, 3).save(file)
    try:
        result = run("export", str(tmp_path / "out"), "--round", "r1", "--rev", "first", "--pid", "3")
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[0] == f"{tmp_path / 'out'}: 2 mask(s) of r1"
        with Image.open(tmp_path / "out/main/3_1.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask)[::10, ::10], FIRST[0])
    finally:
        shutil.rmtree(image.parent)
        shutil.rmtree(inside / "data/repairs")


def test_experiments_go_by_name_and_by_commit_where_a_name_is_taken_twice(inside: Path) -> None:
    """DVC keeps an experiment as a Git reference below the commit that it started from."""
    first, head = (read(inside, "git", "rev-parse", f"{rev}^{{commit}}") for rev in ("first", "HEAD"))
    references = {
        f"refs/exps/{of[:2]}/{of[2:]}/{name}": of for of in (first, head) for name in ("twice", f"x-{of[:3]}")
    }
    for reference, commit in references.items():
        call(inside, "git", "update-ref", reference, commit)
    try:
        known = Archive(inside).known_revisions()
        assert known[:2] == ["workspace", "HEAD"]
        assert set(known[2:]) >= {"twice", first[:7], f"x-{first[:3]}", f"x-{head[:3]}"}
        assert head[:7] not in known
        seeds = {"twice": 2, first[:7]: 1, f"x-{first[:3]}": 1, f"x-{head[:3]}": 2}
        assert {name: open_revision(inside, name).params.seed for name in seeds} == seeds
        assert run("diff", "twice", f"x-{first[:3]}").output.startswith("r1: 2 of 3 identities differ")
    finally:
        for reference in references:
            call(inside, "git", "update-ref", "-d", reference)


def test_what_a_cache_lists_leads_nowhere_else(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of a folder's files comes from the remote."""
    revision = open_revision(inside, "first")
    assert isinstance(revision, Revision)
    outside, target = inside.parent / "outside", revision.root / "data/masks/r1.zarr"
    for name in ("../../../../../../outside", str(outside)):
        listed = {f"data/masks/r1.zarr/{name}": {"md5": "../../../etc/passwd"}}
        monkeypatch.setattr(revision, "_files", SimpleNamespace(find=lambda _, detail, listed=listed: listed))
        with pytest.raises(InputError, match=r"leads out of data/masks/r1\.zarr; choose another one"):
            revision._place(target)
    assert not outside.exists()
    assert revision._cached({"md5": "../../../etc/passwd"}) is None
