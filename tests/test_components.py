"""Principal components of the shared map: against a singular value decomposition, and through extraction."""

from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from hcga.components import Projection, fit_components
from hcga.inference import extract
from hcga.prnet import PRNet, new_card
from hcga.stores import array, open_store, write_store

CARD = new_card("mobilenetv3_small_050", 8, True, 4, 5, (64, 32))


@pytest.fixture(scope="module")
def network() -> PRNet:
    torch.manual_seed(0)
    return PRNet(CARD).eval()


@pytest.fixture
def images(tmp_path: Path) -> zarr.Array:
    pixels = np.random.default_rng(0).integers(0, 256, (9, CARD.height, CARD.width, 3), np.uint8)
    write_store(tmp_path / "images.zarr", {"images": pixels})
    return array(open_store(tmp_path / "images.zarr"), "images")


def maps_of(network: PRNet, images: zarr.Array, count: int) -> torch.Tensor:
    with torch.inference_mode():
        return network.maps(torch.from_numpy(np.asarray(images[:count])))


def test_as_a_singular_value_decomposition_of_all_cells(
    network: PRNet, images: zarr.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcga.components.BATCH", 4)
    cells = maps_of(network, images, 7).movedim(1, 3).reshape(-1, CARD.channels).double().numpy()
    _, values, directions = np.linalg.svd(cells, full_matrices=False)
    found = fit_components(network, images, 7, 3)
    agreement = (found.directions.numpy() * directions[:3]).sum(1)
    np.testing.assert_allclose(np.abs(agreement), 1, atol=1e-5)
    assert found.kept == pytest.approx(100 * (values[:3] ** 2).sum() / (values**2).sum(), abs=1e-4)
    largest = np.abs(found.directions.numpy()).argmax(1)
    assert (found.directions.numpy()[range(3), largest] > 0).all()  # the sign is a convention, lest it depend on LAPACK


def test_the_sample_is_taken_from_the_training_images_alone(
    network: PRNet, images: zarr.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def note(source: zarr.Array, rows: np.ndarray) -> np.ndarray:
        seen.extend(rows.tolist())
        return np.asarray(source[:])[rows]

    monkeypatch.setattr("hcga.components.read_rows", note)
    monkeypatch.setattr("hcga.components.SAMPLE", 3)
    fit_components(network, images, 7, 2)
    assert seen == [0, 3, 6]


def test_all_components_are_a_rotation_and_zero_stays_zero() -> None:
    rng = np.random.default_rng(0)
    rotation = torch.from_numpy(np.linalg.qr(rng.normal(size=(6, 6)))[0]).float()
    maps = torch.from_numpy(rng.normal(size=(2, 6, 4, 3))).float()
    project = Projection(rotation, 100.0)
    torch.testing.assert_close(project(maps).square().sum(1), maps.square().sum(1))
    torch.testing.assert_close(project(maps)[1, 2, 3, 1], rotation[2] @ maps[1, :, 3, 1])
    assert not project(torch.zeros_like(maps)).any()


def test_extraction_stores_the_components(tmp_path: Path, network: PRNet, images: zarr.Array) -> None:
    extract(network, CARD, images, 7, 3, tmp_path / "few.zarr")
    extract(network, CARD, images, 7, None, tmp_path / "all.zarr")
    few, everything = (open_store(tmp_path / f"{name}.zarr") for name in ("few", "all"))
    assert array(few, "features").shape == (7, 3, CARD.height // 4, CARD.width // 4)
    project = fit_components(network, images, 7, 3)
    expected = project(torch.from_numpy(np.asarray(array(everything, "features")[:])).float())
    np.testing.assert_allclose(np.asarray(array(few, "features")[:]), expected, rtol=5e-3, atol=5e-3)
    assert few.attrs["energy_kept"] == round(project.kept, 3)
    assert "energy_kept" not in everything.attrs
