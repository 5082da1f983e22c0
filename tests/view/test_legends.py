"""What the colours mean: by the stores that are shown, whatever params.yaml says now."""

import html
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from example import CELLS, new_checkout, page
from starlette.testclient import TestClient

from hcga.masks.parts import mask_attributes
from hcga.store_writing import write_store
from hcga.view.server import create_app

example = pytest.fixture(scope="module")(new_checkout)
BODY, NUMBERED = ["head", "upper body", "lower body"], ["part1", "part2", "part3", "part4"]


@pytest.fixture
def checkout(example: Path, tmp_path: Path) -> Path:
    """To be changed."""
    return Path(shutil.copytree(example, tmp_path / "checkout"))


def client_of(checkout: Path) -> TestClient:
    return TestClient(create_app(checkout), base_url="http://127.0.0.1")


def legend_of(client: TestClient, address: str) -> list[str]:
    """Words of a page's legend, without the background and what is not labelled."""
    (shown,) = re.findall(r'<p class="legend[^>]*>(.*?)</p>', page(client, address), re.DOTALL)
    return re.findall(r"(?:</i>|<strong>)([^<]*)", html.unescape(shown))[1:-1]


def write_five_classes(checkout: Path, name: str) -> None:
    cells = np.ones((5, *CELLS), np.uint8)
    shutil.rmtree(checkout / f"data/masks/{name}.zarr")
    write_store(checkout / f"data/masks/{name}.zarr", {"masks": cells}, source="hcnet", **mask_attributes(5))


def test_params_that_no_run_has_had_yet_change_nothing(checkout: Path) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("part_classes: 4", "part_classes: 5"))
    client = client_of(checkout)
    for address in ("/identities/3", "/queries/5", "/identities/3?layer=head", "/identities/3?layer=truth"):
        assert legend_of(client, address) == BODY, address
    assert legend_of(client, "/changes") == [*BODY, "changed"]
    text = page(client, "/identities/3?at=r1&layer=confidence-4")
    assert re.findall(r'name="layer" value="confidence-(\d)"', text) == ["1", "2", "3"]
    assert "confidence-4: no layer &#39;confidence-4&#39;: the network of workspace:r1 has 4 part classes" in text
    assert client.get("/strips/workspace:r1/3/confidence-4").status_code == 404


def test_rows_of_other_parts_have_legends_of_their_own(checkout: Path) -> None:
    write_five_classes(checkout, "r2")
    client = client_of(checkout)
    assert legend_of(client, "/identities/3?at=r2") == NUMBERED
    expected = ["masks of workspace:r1, masks of workspace:r3:", *BODY, "masks of workspace:r2:", *NUMBERED]
    assert legend_of(client, "/identities/3?at=r1&at=r2&at=r3") == expected
    text = page(client, "/identities/3?at=r1&at=r2&layer=confidence-1&layer=changed&layer=alone")
    titles = re.findall(r'class="strip[^"]*"><span>([^<]*)</span><div><img', text)
    assert titles[1:] == ["confidence, head", "masks without photos", "confidence, part1", "masks without photos"]
    assert "changed from the row above: masks of 4 and of 5 part classes" in text
    response = client.get("/changes?from=r1&to=r2")
    assert (response.status_code, "masks of 4 and of 5 part classes" in response.text) == (404, True)


def test_colours_of_what_is_no_part_come_once(checkout: Path) -> None:
    shown = legend_of(client_of(checkout), "/identities/3?at=r1&at=r2&layer=alone&layer=changed&layer=masks")
    assert shown == [*BODY, "background without photos", "changed"]
