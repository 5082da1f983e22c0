"""The documentation says what the code does."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

from hcga.datasets.readers import LAYOUTS

PAGES = ROOT / "docs" / "datasets"
PUBLISHED = [layout for layout, known in LAYOUTS.items() if known.counts]


def page_of(layout: str) -> str:
    return (PAGES / f"{layout.partition(':')[0]}.md").read_text(encoding="utf-8")


def rows() -> dict[str, list[str]]:
    """Cells of the index, by layout."""
    lines = (PAGES / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| [`")]
    return {layout: row for row in cells for layout in re.findall(r"`([a-z0-9_:]+)`", row[0])}


def test_the_index_names_every_layout_but_the_drawn_one() -> None:
    assert set(rows()) == set(LAYOUTS) - {"synthetic"}


@pytest.mark.parametrize("layout", PUBLISHED)
def test_counts_and_params_file_are_those_of_the_code(layout: str) -> None:
    row = rows()[layout]
    numbers = {split: f"{images:,} / {people:,}" for split, (images, people) in LAYOUTS[layout].counts.items()}
    assert row[1:4] == [numbers.get(split, "") for split in ("train", "query", "gallery")]
    file = ROOT / "params" / row[5].strip("`")
    assert f"layout: {layout.partition(':')[0]}" in file.read_text(encoding="utf-8")
    text = page_of(layout)
    assert all(number in text for number in numbers.values())
    assert f"params/{file.name}" in text or "params/market1501_to_" in text


@pytest.mark.parametrize("layout", PUBLISHED)
def test_a_page_says_how_to_get_and_lay_out_its_set(layout: str) -> None:
    text = page_of(layout)
    assert all(f"**{topic}" in text for topic in ("Obtaining it.", "Layout.", "Counts.", "Params."))
    assert f"`layout: {layout}`" in text or f"`{layout}`" in text


@pytest.mark.parametrize("layout", [layout for layout in PUBLISHED if "duke" in layout])
def test_pages_of_what_was_cut_from_dukemtmc_say_that_it_was_withdrawn(layout: str) -> None:
    assert re.search("withdraw(n|al)", page_of(layout))


@pytest.mark.parametrize("page", ["docs/looking.md", "docs/masks.md"])
def test_git_ignores_the_folder_that_the_example_exports_to(page: str) -> None:
    folders = re.findall(r"^hcga masks export .* (\S+/) +#", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert folders
    assert {f"/{folder}" for folder in folders} <= set((ROOT / ".gitignore").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.stem
)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
