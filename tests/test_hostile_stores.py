"""Stores and models whose descriptions claim too much: refused by name, before memory is asked for."""

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from numcodecs import Zstd
from safetensors.numpy import save_file
from zarr.codecs import ZstdCodec

from hcga.errors import InputError
from hcga.network.checkpoints import load_model, load_optimiser, save_model
from hcga.network.prnet import PRNet, new_card
from hcga.store_limits import _frame_size
from hcga.store_writing import write_store
from hcga.stores import array, attribute, open_store, read_all, read_rows
from hcga.view.confidence import part_classes_of

HUGE = 10**9
ROOM = 2 * 2**30  # bytes more than there are now


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Let the process have little more address space than it has, so that it cannot ask for gigabytes."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "a.zarr", {"images": np.zeros((4, 8, 8, 3), np.uint8)}, part_classes=4)
    return tmp_path / "a.zarr"


def rewrite(store: Path, change: Callable[[dict[str, Any]], None], file: str = "images/zarr.json") -> None:
    values = json.loads((store / file).read_text())
    change(values)
    (store / file).write_text(json.dumps(values))


def reshape(shape: list[int], chunk: list[int]) -> Callable[[dict[str, Any]], None]:
    """Give a change to a shape in one shard, or, with `chunk`, what is unpacked at once of it."""

    def change(values: dict[str, Any]) -> None:
        values["shape"] = values["chunk_grid"]["configuration"]["chunk_shape"] = shape
        values["codecs"][0]["configuration"]["chunk_shape"] = chunk

    return change


def packed_by(name: str, **configuration: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        values["codecs"][0]["configuration"]["codecs"] = [
            {"name": "bytes"},
            {"name": name, "configuration": configuration},
        ]

    return change


def of_type(name: str, fill: Any, codec: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        values |= {"data_type": name, "fill_value": fill, "codecs": [{"name": codec}]}

    return change


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "rows": (reshape([10**12, 8, 8, 3], [1, 8, 8, 3]), "beyond all use"),
    "more rows than integers": (reshape([10**40, 8, 8, 3], [1, 8, 8, 3]), "beyond all use"),
    "a row": (reshape([4, 10**6, 10**6, 3], [1, 10, 10, 3]), "beyond all use"),
    "a chunk": (reshape([4096, 512, 512, 3], [4096, 512, 512, 3]), "beyond all use"),
    "no chunk": (reshape([4, 8, 8, 3], [0, 8, 8, 3]), r"damaged|beyond all use"),
    "negative": (reshape([-4, 8, 8, 3], [1, 8, 8, 3]), "damaged"),
    "dimensions": (reshape([4, 8], [1, 8]), "it has 2 dimensions of uint8, wanted are 4 dimensions of uint8"),
    "a word for a shape": (lambda values: values.update(shape="abc"), "damaged"),
    "unknown codec": (packed_by("os.system", command="id"), "damaged .*Unknown codec"),
    "pickle": (packed_by("numcodecs.pickle"), "damaged .*Unknown codec"),
    "another codec": (packed_by("numcodecs.lzma"), r"packed by 'numcodecs\.lzma', known are bytes, crc32c"),
    "objects": (lambda values: values.update(data_type="object"), "damaged"),
    "texts": (of_type("string", "", "vlen-utf8"), "not numbers by rows"),
    "bytes": (of_type("variable_length_bytes", "", "vlen-bytes"), "not numbers by rows"),
    "doubles": (of_type("float64", 0.0, "bytes"), "dimensions of float64, wanted are 4 dimensions of uint8"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("whole", [True, False])
def test_descriptions_of_arrays(store: Path, name: str, whole: bool) -> None:
    change, message = HOSTILE[name]
    rewrite(store, change)
    with pytest.raises(InputError, match=rf"a\.zarr/images: .*({message})"):
        read_rows(array(open_store(store), "images", whole), np.array([0, 2]))


def test_gzip_has_no_end_and_is_refused(store: Path) -> None:
    rewrite(store, packed_by("gzip", level=1))
    with pytest.raises(
        InputError, match=r"packed by 'gzip', known are bytes, crc32c, sharding_indexed, transpose, zst"
    ):
        array(open_store(store), "images")


@pytest.mark.parametrize("frame", ["of another size", "of no known size", "no frame"])
def test_chunks_unpack_to_what_they_hold(tmp_path: Path, frame: str) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=3)
    labels = group.create_array("labels", shape=(1, 8, 8), chunks=(1, 8, 8), dtype="uint8", compressors=ZstdCodec())
    labels[:] = 7
    assert read_all(array(open_store(tmp_path / "a.zarr"), "labels")).sum() == 7 * 64
    packed = bytes(Zstd().encode(bytes(10**7)))
    unsaid = packed[:4] + bytes([packed[4] & 0b00011111, 0x50]) + packed[9:]
    chunk = {"of another size": packed, "of no known size": unsaid, "no frame": b"abc"}[frame]
    (tmp_path / "a.zarr/labels/c/0/0/0").write_bytes(chunk)
    number = "10,000,000" if frame == "of another size" else "an unknown number"
    with pytest.raises(InputError, match=rf"labels: damaged \(a chunk of 64 bytes unpacks to {number}\)"):
        read_all(array(open_store(tmp_path / "a.zarr"), "labels"))


@pytest.mark.parametrize("size", [1, 255, 256, 65_791, 65_792, 2**20])
def test_a_frame_says_to_what_it_unpacks(size: int) -> None:
    assert _frame_size(bytes(Zstd().encode(bytes(size)))) == size


@pytest.mark.parametrize("file", ["zarr.json", "images/zarr.json"])
@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"", b"[]", b'{"zarr_format": 2}'])
def test_what_is_no_description_at_all(store: Path, file: str, content: bytes) -> None:
    (store / file).write_bytes(content)
    with pytest.raises(InputError, match=r"a\.zarr.*(no readable store|damaged|no array)"):
        array(open_store(store), "images")


@pytest.mark.parametrize("classes", [10**9, -1, 0, 1, 256, True, 4.5, "4", None, []])
def test_part_classes_are_not_believed(store: Path, classes: object) -> None:
    rewrite(store, lambda values: values["attributes"].update(part_classes=classes), "zarr.json")
    with pytest.raises(InputError, match=r"a\.zarr: (part_classes is|no attribute)"):
        attribute(open_store(store), "part_classes", int)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "good.safetensors"
    card = new_card("mobilenetv3_small_050", 8, True, 4, 2, (64, 32))
    save_model(PRNet(card), card, path)
    return path


def with_header(model: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = model.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    written = json.dumps(header).encode()
    target.write_bytes(len(written).to_bytes(8, "little") + written + content[8 + length :])
    return target


CARDS: dict[str, tuple[dict[str, Any], str]] = {
    "channels": ({"channels": HUGE}, "channels"),
    "some channels": ({"channels": 500_000}, r"\(.*\), by its card \(.*500000.*\)"),
    "identities": ({"identities": HUGE}, "identities"),
    "some identities": ({"identities": 900_000}, r"by its card \(900000, 8\)"),
    "part classes": ({"part_classes": HUGE}, "part_classes"),
    "none": ({"part_classes": 0}, "part_classes"),
    "no number": ({"channels": 10**30}, "channels"),
    "size": ({"height": HUGE}, "height"),
    "mean": ({"mean": [0.5] * 10_000}, "mean"),
    "deviation": ({"std": [0, 0, 0]}, "std"),
    "a path": ({"backbone": "/etc/passwd"}, "timm has no model '/etc/passwd'"),
    "a folder": ({"backbone": "local-dir:/etc"}, "timm has no model"),
    "an address": ({"backbone": "hf-hub:somebody/something"}, "timm has no model"),
    "a long name": ({"backbone": "a" * 10**6}, "backbone"),
    "another backbone": ({"backbone": "resnet152"}, "by its card"),
}


@pytest.mark.parametrize("name", CARDS)
def test_cards(model: Path, tmp_path: Path, name: str) -> None:
    changes, message = CARDS[name]

    def change(header: dict[str, Any]) -> None:
        header["__metadata__"]["hcga"] = json.dumps(json.loads(header["__metadata__"]["hcga"]) | changes)

    path = with_header(model, tmp_path / "bad.safetensors", change)
    with pytest.raises(InputError, match=r"bad\.safetensors: holds no model of this version") as caught:
        load_model(path)
    assert caught.match(message)
    assert len(str(caught.value)) < 2000


HEADERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "shape": lambda header: header["parsing_head.weight"].update(shape=[10**12, 10**12]),
    "range": lambda header: header["parsing_head.weight"].update(data_offsets=[10**15, 10**15 + 128]),
    "overlap": lambda header: header["parsing_head.weight"].update(data_offsets=[0, 128]),
    "dtype": lambda header: header["parsing_head.weight"].update(dtype="O"),
    "metadata": lambda header: header.update(__metadata__=[]),
    "card": lambda header: header["__metadata__"].update(hcga="[" * 100_000),
    "no card": lambda header: header.pop("__metadata__"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(model: Path, tmp_path: Path, name: str) -> None:
    path = with_header(model, tmp_path / "bad.safetensors", HEADERS[name])
    with pytest.raises(InputError, match=r"bad\.safetensors: (cannot be read|holds no model)"):
        load_model(path)


@pytest.mark.parametrize("length", [0, 2**62, 90 * 2**20, 2**64 - 1])
def test_lengths_of_headers(tmp_path: Path, length: int) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    for read in (load_model, part_classes_of):
        with pytest.raises(InputError, match=r"bad\.safetensors: (cannot be read|damaged)"):
            read(path)


@pytest.mark.parametrize("shape", [(10**9, 0, 1, 1), (0, 1, 1, 1), (4,), ()])
def test_a_parsing_head_without_values_claims_no_classes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    save_file({"parsing_head.weight": np.zeros(shape, np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors: a parsing head of shape"):
        part_classes_of(tmp_path / "a.safetensors")


@pytest.mark.parametrize("names", ["a.b.c", "x", "-1.exp_avg", "0.exp_avg", "0.step 0.exp_avg 0.exp_avg_sq"])
def test_states_of_another_optimisation(tmp_path: Path, names: str) -> None:
    values = dict.fromkeys(names.split(), np.zeros((3, 3), np.float32))
    save_file(values, tmp_path / "a.safetensors", {"hcga": "adam"})
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
    with pytest.raises(InputError, match=r"a\.safetensors: the state of another network"):
        load_optimiser(optimiser, tmp_path / "a.safetensors")
