"""The page in a real browser: it loads, sorts, switches rounds, opens a query, obeys keys, and reports no error.

Skipped where there is none, see the fixture `browser`.
"""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from example import BRANCH, QUERIES, new_checkout, open_revisions

from hcga.view.server import create_app

pytestmark = pytest.mark.slow
checkout = pytest.fixture(scope="module")(new_checkout)


@pytest.fixture(scope="module")
def address(browser: Any, checkout: Path) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(checkout), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        open_revisions(patch, {BRANCH: checkout})
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(tab: Any, address: str) -> Any:
    """Give a tab in which an address may be a path alone."""
    return tab(address)


def pids(page: Any) -> list[str]:
    return [str(text) for text in page.locator("tbody td:first-child a").all_inner_texts()]


def loaded(page: Any) -> bool:
    """Whether every picture has come."""
    return bool(page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)"))


def test_list_sorts_and_opens_an_identity_and_keys_move_on(page: Any) -> None:
    page.goto("/")
    assert pids(page) == ["8", "11", "3"]
    page.get_by_role("link", name="pid").click()
    page.wait_for_url("**sort=pid")
    assert pids(page) == ["3", "8", "11"]
    page.get_by_role("link", name="pid").click()
    page.wait_for_url("**order=down")
    assert pids(page) == ["11", "8", "3"]
    page.get_by_role("link", name="3", exact=True).click()
    page.wait_for_url("**/identities/3?**")
    assert page.locator("h1").inner_text().startswith("Identity 3")
    page.wait_for_load_state("networkidle")
    assert loaded(page)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/identities/8?**")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/identities/11?**")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/identities/8?**")
    page.get_by_role("link", name="list of workspace:r3").click()
    page.wait_for_url("**order=down**")
    assert pids(page) == ["11", "8", "3"]


def test_left_and_right_go_through_the_rounds_of_a_list(page: Any) -> None:
    page.goto("/identities?at=r2&sort=pid")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**r3**sort=pid")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**r2**sort=pid")


def test_up_and_down_go_through_the_rounds(page: Any) -> None:
    page.goto("/identities/3")
    shown = "document.activeElement.querySelector('strong')?.textContent"
    for key, place in (
        ("ArrowDown", "r1"),
        ("ArrowDown", "r2"),
        ("ArrowDown", "r3"),
        ("ArrowDown", "r3"),
        ("ArrowUp", "r2"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(shown) == f"workspace:{place}"


COUNT_CLICKS = """() => {
  window.clicks = [];
  addEventListener("click", (event) => { event.preventDefault(); clicks.push(event.target.dataset.key); });
}"""


def test_keys_with_others_held_or_within_a_field_are_not_for_the_page(page: Any) -> None:
    page.goto("/identities/3")
    page.evaluate(COUNT_CLICKS)
    for key in ("Control+ArrowLeft", "Alt+ArrowLeft", "Meta+ArrowLeft", "Control+ArrowDown"):
        page.evaluate(
            "document.addEventListener('keydown', (event) => event.preventDefault(), {once: true})"
        )  # go back
        page.keyboard.press(key)
    for field in ("at", "opacity"):
        page.locator(f"[name={field}]").first.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.name") == field
    assert page.evaluate("clicks") == []
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("clicks") == ["ArrowLeft"]


def test_a_key_held_down_moves_on_once(page: Any) -> None:
    page.goto("/identities/3")
    page.evaluate(COUNT_CLICKS)
    for _ in range(3):
        page.keyboard.down("ArrowLeft")  # again without having been up: repeated
    assert page.evaluate("clicks") == ["ArrowLeft"]
    page.keyboard.up("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("clicks") == ["ArrowLeft"] * 2


def test_opacity_is_kept_in_the_address(page: Any) -> None:
    page.goto("/identities/11")
    over = page.locator(".over").first
    assert over.evaluate("(image) => getComputedStyle(image).opacity") == "0.6"
    page.locator("[name=opacity]").fill("25")
    assert over.evaluate("(image) => getComputedStyle(image).opacity") == "0.25"
    assert "opacity=25" in page.url
    page.keyboard.press("Tab")
    page.locator("h1").click()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/identities/8?**opacity=25**")
    page.reload()
    assert page.locator(".over").first.evaluate("(image) => getComputedStyle(image).opacity") == "0.25"


def test_keys_are_the_pages_again_once_a_slider_was_drawn(page: Any) -> None:
    page.goto("/identities/3?at=r1")
    page.locator("[name=opacity]").click(position={"x": 30, "y": 8})
    assert 10 < int(page.locator("[name=opacity]").input_value()) < 30
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/identities/11?**opacity=*")


def test_another_identity_opens_at_the_same_row_and_height(page: Any) -> None:
    page.set_viewport_size({"width": 800, "height": 400})
    shown = "document.activeElement.querySelector('strong')?.textContent"
    page.goto("/identities/3")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.evaluate("scrollBy(0, 50)")
    height = page.evaluate("scrollY")
    assert height > 50
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/identities/11#2")
    assert page.evaluate(shown) == "workspace:r2"
    assert page.evaluate("scrollY") == height
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollTo(0, 77)")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/identities/3#2")
    assert page.evaluate("scrollY") == 77
    page.goto("/identities/8#3")  # as somebody else has sent it
    page.reload()
    assert page.evaluate(shown) == "workspace:r3"
    page.goto("/identities/8#zzz")


def test_size_is_kept_in_the_address_and_the_form(page: Any) -> None:
    page.goto("/identities/11?at=r1")
    picture = page.locator(".over").first
    assert picture.bounding_box()["height"] == 192  # pixels; the images have 64
    page.locator("[name=zoom]").fill("1.5")
    assert picture.bounding_box()["height"] == 96
    page.get_by_role("button", name="show").click()
    page.wait_for_url("**zoom=1.5**")
    assert picture.bounding_box()["height"] == 96


def test_an_overlay_covers_its_images(page: Any) -> None:
    page.goto("/identities/3?at=r1&layer=masks&layer=truth")
    boxes = (
        page.locator(".strip")
        .nth(2)  # after cameras and images
        .locator("img")
        .evaluate_all("(images) => images.map((image) => JSON.stringify(image.getBoundingClientRect()))")
    )
    assert len(boxes) == 2
    assert boxes[0] == boxes[1]


def test_other_rounds_and_layers_by_the_form(page: Any) -> None:
    page.goto("/identities/3?at=r1")
    page.locator("[name=at]").nth(0).fill("r2")
    page.locator("[name=at]").nth(1).fill("r1")
    page.get_by_label("truth").check()
    page.get_by_role("button", name="show").click()
    page.wait_for_url("**at=r2&at=r1**")
    rows = page.locator("[data-row] strong").all_inner_texts()
    assert rows == ["workspace:r2", "workspace:r1"]
    assert page.locator(".over").count() == 4


def test_other_revisions_are_offered_and_their_odd_names_can_be_shown(page: Any) -> None:
    page.goto("/identities/3?at=r1")
    choice = page.locator("select:visible").nth(1)
    choice.locator("option").nth(5).wait_for(state="attached")
    offered = choice.locator("option").evaluate_all("(options) => options.map((option) => option.value)")
    assert offered == ["", "workspace:r1", "workspace:r2", "workspace:r3", "HEAD:r1", f"{BRANCH}:r1"]
    choice.select_option(offered[-1])
    assert page.locator("[name=at]").nth(1).input_value() == offered[-1]
    page.get_by_role("button", name="show").click()
    page.wait_for_url("**at=it*")
    page.wait_for_load_state("networkidle")
    assert page.locator("[data-row] strong").all_inner_texts() == ["workspace:r1", f"{BRANCH}:r1"]
    assert page.locator(".over").count() == 2
    assert loaded(page)


def test_pixels_that_moved_open_both_rounds_of_their_identity(page: Any) -> None:
    page.goto("/changes")
    article = page.locator("article").filter(has_text="Identity 3")
    article.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    assert article.evaluate("(one) => [...one.querySelectorAll('img')].every((image) => image.naturalWidth > 0)")
    boxes = article.locator("img").evaluate_all(
        "(images) => images.map((image) => JSON.stringify(image.getBoundingClientRect()))"
    )
    assert boxes[::2] == boxes[1::2]
    assert len(set(boxes)) == 3
    article.locator("a.strips").click()
    page.wait_for_url("**/identities/3?**")
    assert page.locator("[data-row] strong").all_inner_texts() == ["workspace:r2", "workspace:r3"]


def test_a_query_opens_and_keys_go_to_the_next(page: Any) -> None:
    page.goto("/queries")
    page.get_by_role("link", name="query/d.jpg").click()
    page.wait_for_url("**/queries/5?**")
    assert page.locator(".hit").count() == 1
    page.wait_for_load_state("networkidle")
    assert loaded(page)
    for inside in ("figure.asked", "figure.hit"):
        boxes = page.locator(f"{inside} img").evaluate_all(
            "(images) => images.map((image) => JSON.stringify(image.getBoundingClientRect()))"
        )
        assert len(boxes) == 2
        assert boxes[0] == boxes[1]
    page.locator("[name=opacity]").fill("25")
    assert page.locator(".over").first.evaluate("(image) => getComputedStyle(image).opacity") == "0.25"
    page.locator("h1").click()
    for where in QUERIES[-2::-1]:
        page.keyboard.press("ArrowLeft")
        page.wait_for_url(f"**{where}?**")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**{QUERIES[1]}?**")
    page.keyboard.press("ArrowUp")
    page.wait_for_url(f"**{QUERIES[1]}?at=workspace%3Ar2&opacity=25")
    page.keyboard.press("ArrowDown")
    page.wait_for_url(f"**{QUERIES[1]}?at=workspace%3Ar3&opacity=25")


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["/identities", "/identities/3", "/changes", "/queries", "/queries/5", "/figures"])
def test_no_page_is_wider_than_the_window(page: Any, where: str, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(where)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    light, dark = (sum(map(int, text[4:-1].split(","))) for text in colours)
    assert (light > dark) == (scheme == "dark")
