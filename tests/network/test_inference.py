"""Features and embeddings in batches: equal to the network's own, whatever the batch; errors are not lost."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from damages import empty, flip_a_bit, halve, unfinished

from hcga import files
from hcga.errors import InputError
from hcga.files import DRAFT, note_beside, write_note
from hcga.network import inference
from hcga.network.inference import embed, extract
from hcga.network.prnet import Card, PRNet, new_card
from hcga.runs.environment import environment
from hcga.runs.stopping import Stopped
from hcga.store_writing import RowWriter, write_store
from hcga.stores import array, open_store

CARD = new_card("mobilenetv3_small_050", 8, True, 4, 5, (64, 32))
COUNT = 9


@pytest.fixture(scope="module")
def network() -> PRNet:
    torch.manual_seed(0)
    return PRNet(CARD).eval()


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> zarr.Group:
    """Give nine images, read in batches of four: the last batch has one."""
    monkeypatch.setattr(inference, "BATCH", 4)
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, CARD.height, CARD.width, 3), np.uint8)
    write_store(tmp_path / "images.zarr", {"images": pixels}, image_set="these")
    return open_store(tmp_path / "images.zarr")


def pixels_of(images: zarr.Group, count: int = COUNT) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array(images, "images")[:count]))


@pytest.mark.parametrize("count", [1, 4, 7, COUNT])
def test_features_are_the_networks_maps(tmp_path: Path, network: PRNet, images: zarr.Group, count: int) -> None:
    extract(network, CARD, images, count, tmp_path / "features.zarr")
    store = open_store(tmp_path / "features.zarr")
    with torch.inference_mode():
        expected = network.maps(pixels_of(images, count))
    found = np.asarray(array(store, "features")[:])
    assert (found.dtype, found.shape) == (np.float16, (count, 8, 16, 8))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4)
    here = environment(torch.device("cpu")).model_dump()
    assert dict(store.attrs) == {"epoch": 0, "stride": 4, "image_set": "these", "run": {"extract": here}}


def test_embeddings_are_the_networks_own(tmp_path: Path, network: PRNet, images: zarr.Group) -> None:
    embed(network, CARD, images, 4.0, tmp_path / "embeddings.zarr")
    store = open_store(tmp_path / "embeddings.zarr")
    with torch.inference_mode():
        expected = network.embed(pixels_of(images), 4.0)
    for name, values in expected._asdict().items():
        found = np.asarray(array(store, name)[:])
        assert found.shape == values.shape
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5, err_msg=name)
    assert store.attrs["image_set"] == "these"
    assert store.attrs["parsing"] is False
    assert store.attrs["part_classes"] == 4
    here = environment(torch.device("cpu")).model_dump()
    assert store.attrs["run"] == {"seed": None, "train": {}, "embed": here}


@pytest.mark.parametrize("binary", [1, 0.5, None])
def test_part_maps_are_binary_or_as_in_training(
    tmp_path: Path, network: PRNet, images: zarr.Group, binary: float | None
) -> None:
    embed(network, CARD, images, 1.2, tmp_path / "embeddings.zarr", binary=binary)
    with torch.inference_mode():
        rules = binary, *({1, 0.5, None} - {binary})
        expected, *others = (network.embed(pixels_of(images), 1.2, rule).parts for rule in rules)
    found = np.asarray(array(open_store(tmp_path / "embeddings.zarr"), "parts")[:])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not any(np.allclose(found, other, rtol=1e-4, atol=1e-5) for other in others)


def test_the_mirror_image_counts_if_asked_for(tmp_path: Path, network: PRNet, images: zarr.Group) -> None:
    embed(network, CARD, images, 4.0, tmp_path / "embeddings.zarr", flip=True)
    with torch.inference_mode():
        expected, other = (network.embed(pixels_of(images), 4.0, flip=flip).image for flip in (True, False))
    found = np.asarray(array(open_store(tmp_path / "embeddings.zarr"), "image")[:])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, other, rtol=1e-4, atol=1e-5)


def test_embeddings_say_how_their_network_was_trained(tmp_path: Path, network: PRNet, images: zarr.Group) -> None:
    elsewhere = environment(torch.device("cpu")).model_copy(update={"device": "cuda: other", "threads": 99})
    card = CARD.model_copy(update={"seed": 7, "environment": elsewhere})
    embed(network, card, images, 4.0, tmp_path / "embeddings.zarr")
    run = open_store(tmp_path / "embeddings.zarr").attrs["run"]
    assert (run["seed"], run["train"]) == (7, elsewhere.model_dump())


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_an_error_in_writing_any_batch_is_raised_and_leaves_no_store(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    write, seen = RowWriter.append, []

    def fail(self: RowWriter, rows: np.ndarray) -> None:
        seen.append(len(rows))
        if len(seen) == batch + 1:
            raise OSError("no space left")
        write(self, rows)

    monkeypatch.setattr(RowWriter, "append", fail)
    with pytest.raises(OSError, match="no space left"):
        extract(network, CARD, images, COUNT, tmp_path / "features.zarr")
    assert not (tmp_path / "features.zarr").exists()


@pytest.mark.parametrize("kind", ["extract", "embed"])
@pytest.mark.parametrize("calls", [1, 3, 4])
def test_a_run_that_died_goes_on_after_the_last_whole_shard(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch, calls: int, kind: str
) -> None:
    """And ends with the same bytes; shards are of two batches of two, and the third batch begins the second."""
    monkeypatch.setattr(inference, "BATCH", 2)
    monkeypatch.setattr(inference, "BATCHES", 2)

    def run(path: Path, key: str) -> list[int]:
        """Number of images of each batch."""
        batches: list[int] = []
        maps = network.maps

        def note(batch: torch.Tensor) -> torch.Tensor:
            batches.append(len(batch))
            if len(batches) > calls and key == "dies":
                raise KeyboardInterrupt
            return maps(batch)

        with monkeypatch.context() as patched:
            patched.setattr(network, "maps", note)
            if kind == "extract":
                extract(network, CARD, images, COUNT, path, key.replace("dies", "key"))
            else:
                embed(network, CARD, images, 4.0, path, key.replace("dies", "key"))
        return batches

    assert run(tmp_path / "whole.zarr", "") == [2, 2, 2, 2, 1]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut.zarr", "dies")
    assert run(tmp_path / "cut.zarr", "key") == {1: [2, 2, 2, 2, 1], 3: [2, 2, 1], 4: [1]}[calls]
    assert contents(tmp_path / "cut.zarr") == contents(tmp_path / "whole.zarr")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["extract", "embed"])
@pytest.mark.parametrize("asked", [[1], [3], [4], [1, 1, 1], [5]])
def test_a_run_that_is_asked_to_stop_loses_no_batch(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch, asked: list[int], kind: str
) -> None:
    """Shards are of two batches of two; `asked`: after how many batches, run by run."""
    monkeypatch.setattr(inference, "BATCH", 2)
    monkeypatch.setattr(inference, "BATCHES", 2)
    computed: list[int] = []
    end = 0
    maps = network.maps

    def note(batch: torch.Tensor) -> torch.Tensor:
        computed.append(len(batch))
        if len(computed) == end:
            os.kill(os.getpid(), signal.SIGTERM)
        return maps(batch)

    run = partial(write, kind, network, images)
    whole = run(tmp_path / "whole.zarr")
    monkeypatch.setattr(network, "maps", note)
    for batches in asked:
        end = len(computed) + batches
        with pytest.raises(Stopped):
            run(tmp_path / "cut.zarr")
    end = 0
    assert run(tmp_path / "cut.zarr") == whole
    assert computed == [2, 2, 2, 2, 1]


def test_what_a_power_cut_might_bring_back_is_on_the_disk_before_it_is_noted(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that was begun, and is written again: in its older form it would read as zeros where it had no rows."""
    monkeypatch.setattr(inference, "BATCH", 2)
    monkeypatch.setattr(inference, "BATCHES", 2)
    done: list[str] = []
    monkeypatch.setattr(inference, "flush", lambda _: done.append("flushed"))
    monkeypatch.setattr(inference, "write_note", lambda path, text: [done.append(text), write_note(path, text)])
    maps = network.maps

    def stop(batch: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return maps(batch)

    monkeypatch.setattr(network, "maps", stop)
    with pytest.raises(Stopped):
        extract(network, CARD, images, COUNT, tmp_path / "a.zarr", "key")
    monkeypatch.setattr(network, "maps", maps)
    assert done == ["flushed", "2"]
    extract(network, CARD, images, COUNT, tmp_path / "a.zarr", "key")
    assert done[2:] == ["flushed", "4", "8", "9"]


class Killed(BaseException):
    """As by SIGKILL: nobody cleans up after it."""


@pytest.mark.parametrize("kind", ["extract", pytest.param("embed", marks=pytest.mark.slow)])
def test_a_kill_before_any_rename_of_a_run_that_goes_on_leaves_nothing_in_the_store(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Zarr writes every file beside its place and renames it; the shard that was begun is written twice."""
    monkeypatch.setattr(inference, "BATCH", 2)
    monkeypatch.setattr(inference, "BATCHES", 2)
    monkeypatch.setattr(inference, "flush", lambda _: None)  # takes its time
    monkeypatch.setattr(files, "flush", lambda *_, **__: None)
    maps, replace, kept = network.maps, Path.replace, tmp_path / ".cut.zarr.key.part"

    run = partial(write, kind, network, images)

    def stop(batch: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return maps(batch)

    whole = run(tmp_path / "whole.zarr")
    monkeypatch.setattr(network, "maps", stop)
    with pytest.raises(Stopped):
        run(tmp_path / "cut.zarr")
    monkeypatch.setattr(network, "maps", maps)
    shutil.move(kept, tmp_path / "left")
    for last in count():
        shutil.copytree(tmp_path / "left", kept)
        renames = count()

        def kill(file: Path, target: Path, renames: Iterator[int] = renames, last: int = last) -> Path:
            if file.suffix == ".partial" and next(renames) == last:
                raise Killed
            return replace(file, target)

        with monkeypatch.context() as patched, suppress(Killed):
            patched.setattr(Path, "replace", kill)
            run(tmp_path / "cut.zarr")
            assert last >= len(whole)
            break
        assert [file for file in kept.rglob("*") if file.suffix == ".partial"]
        assert run(tmp_path / "cut.zarr") == whole, last
        shutil.rmtree(tmp_path / "cut.zarr")


def write(kind: str, network: PRNet, images: zarr.Group, path: Path) -> dict[str, bytes]:
    if kind == "extract":
        extract(network, CARD, images, COUNT, path, "key")
    else:
        embed(network, CARD, images, 4.0, path, "key")
    return contents(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("text", ["3", "-4", "400", "x", ""])
def test_a_note_that_makes_no_sense_is_not_gone_by(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(inference, "BATCHES", 1)
    extract(network, CARD, images, COUNT, tmp_path / "whole.zarr")
    draft = tmp_path / ".cut.zarr.key.part/draft"
    draft.mkdir(parents=True)
    write_note(note_beside(draft), text)
    extract(network, CARD, images, COUNT, tmp_path / "cut.zarr", "key")
    assert contents(tmp_path / "cut.zarr") == contents(tmp_path / "whole.zarr")


@pytest.mark.parametrize("damage", [flip_a_bit, halve, empty, Path.unlink, unfinished])
def test_whatever_is_damaged_in_a_draft_the_bytes_are_those_of_one_run(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    """As by a disk, or by a power cut of which the note has reached the disk and a shard has not."""
    monkeypatch.setattr(inference, "BATCHES", 1)
    extract(network, CARD, images, COUNT, tmp_path / "whole.zarr")
    append, kept = RowWriter.append, tmp_path / ".cut.zarr.key.part"

    def die(writer: RowWriter, rows: np.ndarray) -> None:
        if writer.written == 8:
            raise KeyboardInterrupt
        append(writer, rows)

    with monkeypatch.context() as patched:
        patched.setattr(RowWriter, "append", die)
        with pytest.raises(KeyboardInterrupt):
            extract(network, CARD, images, COUNT, tmp_path / "cut.zarr", "key")
    names = sorted(contents(kept))
    written = ["features/c/0/0/0/0", "features/c/1/0/0/0", "features/zarr.json", "zarr.json"]
    assert names == ["draft.note", *(f"draft/{name}" for name in written)]
    shutil.move(kept, tmp_path / "left")
    for name in names:
        shutil.copytree(tmp_path / "left", kept)
        damage(kept / name)
        extract(network, CARD, images, COUNT, tmp_path / "cut.zarr", "key")
        assert contents(tmp_path / "cut.zarr") == contents(tmp_path / "whole.zarr"), name


def test_one_batch_waits_to_be_written_no_more(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else memory would grow with the number of images where the disk is slow."""
    computed, written, waiting = [0], [0], []
    maps, write = network.maps, RowWriter.append

    def compute(batch: torch.Tensor) -> torch.Tensor:
        computed[0] += 1
        return maps(batch)

    def slowly(self: RowWriter, rows: np.ndarray) -> None:
        torch.zeros(1).sum()
        waiting.append(computed[0] - written[0])
        write(self, rows)
        written[0] += 1

    monkeypatch.setattr(inference, "BATCH", 1)
    monkeypatch.setattr(network, "maps", compute)
    monkeypatch.setattr(RowWriter, "append", slowly)
    extract(network, CARD, images, COUNT, tmp_path / "features.zarr")
    assert len(waiting) == COUNT
    assert max(waiting) <= 3  # one being written, one done, one at work


def test_a_run_that_dies_when_all_is_computed_computes_nothing_again(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As between the last row and the store's name, while the disk flushes it."""
    extract(network, CARD, images, COUNT, tmp_path / "whole.zarr")
    with monkeypatch.context() as patched:
        patched.setattr(files, "flush", lambda path, **__: path.name == DRAFT and os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            extract(network, CARD, images, COUNT, tmp_path / "cut.zarr", "key")
    monkeypatch.setattr(network, "maps", None)
    extract(network, CARD, images, COUNT, tmp_path / "cut.zarr", "key")
    assert contents(tmp_path / "cut.zarr") == contents(tmp_path / "whole.zarr")


def test_what_is_not_finite_is_refused(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = network.maps
    monkeypatch.setattr(network, "maps", lambda batch: maps(batch) * float("nan"))
    with pytest.raises(FloatingPointError, match=r"f\.zarr: features of .* are not finite as .*float16; .*rate"):
        extract(network, CARD, images, COUNT, tmp_path / "f.zarr")


def test_what_the_store_cannot_hold_is_not_finite(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = network.maps
    monkeypatch.setattr(network, "maps", lambda batch: maps(batch) * 0 + 70_000)
    with pytest.raises(FloatingPointError, match=r"f\.zarr: features of .* are not finite as torch\.float16; .*rate"):
        extract(network, CARD, images, COUNT, tmp_path / "f.zarr")


def test_a_network_of_other_images_is_refused(tmp_path: Path, network: PRNet, images: zarr.Group) -> None:
    def of(image_set: str) -> Card:
        return CARD.model_copy(update={"image_set": image_set})

    extract(network, of("these"), images, COUNT, tmp_path / "f.zarr")
    with pytest.raises(InputError, match="the model was trained on other images than there are now"):
        extract(network, of("others"), images, COUNT, tmp_path / "f.zarr")
    with pytest.raises(InputError, match="the model was trained on other images than there are now"):
        embed(network, of("others"), images, 4.0, tmp_path / "e.zarr")


def test_disk_is_wanted_for_all_arrays_of_what_is_left(
    tmp_path: Path, network: PRNet, images: zarr.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(inference, "need_disk", lambda _, size: asked.append(size))
    monkeypatch.setattr(inference, "BATCHES", 1)
    draft = tmp_path / ".f.zarr.key.part/draft"
    draft.mkdir(parents=True)
    write_note(note_beside(draft), "4")
    extract(network, CARD, images, COUNT, tmp_path / "f.zarr", "key")
    embed(network, CARD, images, 4.0, tmp_path / "e.zarr")
    vectors, rest = 4 * (8 + 8 + 3 * 8), 4 * 3 * 3 + 16 * 8
    assert asked == pytest.approx([(COUNT - 4) * 2 * 8 * 16 * 8 / 2, COUNT * (0.95 * vectors + 0.2 * rest)])
