"""A model for use without this program: it computes what the network does, and says what it is."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from torch import nn

from hcga.errors import InputError
from hcga.images import load_image
from hcga.network.prnet import PRNet, new_card
from hcga.params import Embed, Gam, Matching
from hcga.using import deployed
from hcga.using.card import DataSet, ModelCard, Use
from hcga.using.deployed import OUTPUTS, read_card, run_module, run_onnx, write_deployed
from hcga.using.embedded import NAMES, Embedded
from hcga.using.model import Model

SIZE = (64, 32)
CLOSE = 1e-5  # of the largest value
IDENTITIES = 23
needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="needs pip install -e '.[onnx]'"
)
KINDS = ["pt2", pytest.param("onnx", marks=needs_onnx)]
MATCHING = Matching(features="F+P", similarity="paper", visibility="any", least_share=0.2, least_confidence=0.75)
USE = Use(
    gam=Gam(t=4.0),
    embed=Embed(binary=None, flip=False),
    matching=MATCHING,
    round="r1",
    datasets={"main": DataSet(layout="synthetic", splits={})},
    validation=None,
    figures={},
    initial_weights="none",
    code="commit 12ab",
    licence="research only",
    hcga="0.1.0",
    params={},
)


class Stub(nn.Module):
    """A backbone of one convolution, which is quick to export."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.convolve = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.convolve(images).relu()


def new_model(backbone: str | nn.Module, attention: bool = True, **use: Any) -> Model:
    """Give a model with random weights and statistics, whose parsing head sees several parts."""
    name = backbone if isinstance(backbone, str) else "resnet18"
    card = new_card(name, 8, attention, 4, IDENTITIES, SIZE).model_copy(update={"parsing": True})
    torch.manual_seed(0)
    network = PRNet(card)
    if isinstance(backbone, nn.Module):
        network.backbone = backbone
    nn.init.normal_(network.parsing_head.weight, std=4)
    for neck in (network.image_neck, network.foreground_neck, network.part_neck):
        nn.init.uniform_(neck.running_mean, -0.1, 0.1)
        nn.init.uniform_(neck.running_var, 0.5, 2)
    return Model(network.eval(), ModelCard(**card.model_dump(), use=USE.model_copy(update=use)))


def run_file(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Load a file as others do."""
    if path.suffix == ".onnx":
        return run_onnx(path.read_bytes())
    return run_module(torch.export.load(path).module())


def wanted_of(model: Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the model says of images in Python."""
    found, use = model.embed(images), model.card.use
    with torch.inference_mode():
        embedded = model._network.embed(torch.from_numpy(images), use.gam.t, use.embed.binary, use.embed.flip)
        parsed = embedded.parsed.numpy()
    return {**found.arrays(), "parsed": parsed, "visible": found.compared_by(use.matching).visible}


def require_agreement(model: Model, path: Path, images: np.ndarray) -> None:
    """Vectors and probabilities to 1e-5 of the largest value; what thresholds decide, exactly."""
    run = run_file(path)
    close = {"image", "foreground", "parts", "peak"} | (
        {"visible"} if model.card.use.matching.visibility == "soft" else set()
    )
    for count in (1, 2, 7):
        wanted, found = wanted_of(model, images[:count]), run(images[:count])
        assert tuple(found) == OUTPUTS
        for name, values in found.items():
            assert (values.shape, values.dtype) == (wanted[name].shape, wanted[name].dtype), name
            limit = CLOSE * np.abs(wanted[name]).max() if name in close else 0
            np.testing.assert_allclose(values, wanted[name], rtol=0, atol=limit, err_msg=name)


@pytest.fixture(scope="module")
def images(tiny_set: Path) -> np.ndarray:
    """Give 4 pictures of synthetic people, a black one and 2 of noise, (7, 64, 32, 3) uint8."""
    people = [load_image(file, *SIZE) for file in sorted(tiny_set.rglob("*.jpg"))[:4]]
    noise = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    return np.stack([*people, np.zeros_like(noise[0]), *noise])


@pytest.fixture(scope="module")
def model() -> Model:
    return new_model("test_efficientnet")


@pytest.fixture(scope="module")
def onnx_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    assert model.export(path) < CLOSE
    return path


@pytest.fixture(scope="module")
def program_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.pt2"
    assert model.export(path) < CLOSE
    return path


@pytest.fixture(scope="module", params=["program_file", pytest.param("onnx_file", marks=needs_onnx)])
def exported(request: pytest.FixtureRequest) -> Path:
    """Give the model as a file of each kind."""
    return request.getfixturevalue(request.param)


def test_a_file_computes_what_the_model_does(model: Model, exported: Path, images: np.ndarray) -> None:
    require_agreement(model, exported, images)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("backbone", "attention"), [("resnet18", False), ("resnet50", True), ("hrnet_w18_small", True)]
)
def test_other_backbones_do_as_well(
    backbone: str, attention: bool, kind: str, images: np.ndarray, tmp_path: Path
) -> None:
    model = new_model(backbone, attention)
    model.export(tmp_path / f"model.{kind}")
    require_agreement(model, tmp_path / f"model.{kind}", images)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("t", "binary", "flip", "visibility"),
    [(8.0, 1, False, "confident"), (None, None, True, "share"), (20.0, 0.5, False, "soft")],
)
def test_gam_maps_and_visibility_are_those_of_the_card(
    t: float | None, binary: float | None, flip: bool, visibility: str, kind: str, images: np.ndarray, tmp_path: Path
) -> None:
    matching = MATCHING.model_copy(update={"visibility": visibility})
    model = new_model(Stub(), gam=Gam(t=t), embed=Embed(binary=binary, flip=flip), matching=matching)
    visible = wanted_of(model, images)["visible"]
    assert visible.min() < visible.max()  # else any rule would do
    model.export(tmp_path / f"model.{kind}")
    require_agreement(model, tmp_path / f"model.{kind}", images)


def test_a_gallery_is_ranked_alike(model: Model, exported: Path, images: np.ndarray) -> None:
    outputs = run_file(exported)(images)
    found, wanted = Embedded(*(outputs[name] for name in NAMES)), model.embed(images)
    ranked = np.argsort(-model.similarity(wanted, wanted), kind="stable")
    for query, gallery in ((found, found), (found, wanted), (wanted, found)):
        values = model.similarity(query, gallery)
        np.testing.assert_array_equal(np.argsort(-values, kind="stable"), ranked)
        np.testing.assert_allclose(values, model.similarity(wanted, wanted), atol=CLOSE)


@needs_onnx
def test_the_example_of_the_documents_is_eq_10(
    model: Model, onnx_file: Path, tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/using.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(import json\n.*?)```", page, re.DOTALL)
    monkeypatch.chdir(onnx_file.parent)
    names: dict[str, Any] = {}
    exec(example, names)
    files = [tmp_path / f"{number}.png" for number in range(5)]
    for target, source in zip(files, sorted(tiny_set.rglob("*.jpg")), strict=False):
        Image.open(source).resize((50, 90)).save(target)  # so that it has to be resized
    wanted = model.embed_files(files).embedded
    found = names["similarity"](names["embed"](files[:2]), names["embed"](files))
    np.testing.assert_allclose(found, model.similarity(wanted.take(slice(2)), wanted), atol=CLOSE)


def test_the_documents_say_how_to_compile(model: Model, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded but not compiled, which takes long."""
    page = (ROOT / "docs/using.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(import torch\n.*?)```", page, re.DOTALL)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    names: dict[str, Any] = {"model": model, "images": images}
    exec(example, names)
    assert list(names["outputs"]) == list(OUTPUTS)
    wanted = model.embed(images)
    for name in NAMES:
        np.testing.assert_allclose(names["outputs"][name].numpy(), getattr(wanted, name), atol=CLOSE)


@needs_onnx
def test_onnx_has_names_any_number_of_images_and_the_card(model: Model, onnx_file: Path) -> None:
    import onnx

    told = onnx.load(onnx_file)
    onnx.checker.check_model(told, full_check=True)
    (given,) = told.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert (given.name, dims, given.type.tensor_type.elem_type) == ("images", ["N", *SIZE, 3], onnx.TensorProto.UINT8)
    assert tuple(output.name for output in told.graph.output) == OUTPUTS
    assert all(output.type.tensor_type.shape.dim[0].dim_param == "N" for output in told.graph.output)
    metadata = {entry.key: entry.value for entry in told.metadata_props}
    assert json.loads(metadata["hcga"]) == model.card.model_dump(mode="json")
    assert all(IDENTITIES not in weights.dims for weights in told.graph.initializer)


def test_a_file_says_what_it_is_without_being_run(model: Model, exported: Path) -> None:
    assert read_card(exported) == (model.card, model.digest)


def test_a_file_has_no_paths_and_none_of_the_classifiers(model: Model, exported: Path) -> None:
    content = exported.read_bytes()
    for place in (str(ROOT), sys.prefix, exported.name, "site-packages", "classifier"):
        assert place.encode() not in content


def test_a_program_keeps_nothing_for_gradients(program_file: Path, images: np.ndarray) -> None:
    outputs = torch.export.load(program_file).module()(torch.from_numpy(images))
    assert not any(values.requires_grad for values in outputs.values())


def test_a_model_is_what_it_was_before_its_export(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "before.safetensors")
    model.export(tmp_path / "model.pt2")
    model.save(tmp_path / "after.safetensors")
    assert (tmp_path / "after.safetensors").read_bytes() == (tmp_path / "before.safetensors").read_bytes()


def test_equal_models_give_equal_bytes(model: Model, program_file: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    Model.load(tmp_path / "model.safetensors", "cpu").export(tmp_path / "other.pt2")
    assert (tmp_path / "other.pt2").read_bytes() == program_file.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_equal_models_give_equal_bytes_in_another_process(model: Model, kind: str, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    for seed in ("1", "2"):
        code = (
            f"import hcga; from pathlib import Path; hcga.Model.load('model.safetensors').export(Path('{seed}.{kind}'))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": seed}, check=False
        )
        assert done.returncode == 0
    assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()


class Wavering(Stub):
    """What it computes hangs on values: it cannot be recorded."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images if images.sum() > 0 else -images)


class Exotic(Stub):
    """It has an operation that ONNX lacks."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.special.bessel_j0(images))


class TwoFaced(Stub):
    """It computes something else when it is exported."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) * (1.01 if torch.compiler.is_exporting() else 1)


@pytest.mark.parametrize(
    ("backbone", "kind", "reason"),
    [
        (Wavering(), "pt2", "GuardOnDataDependentSymNode: .+"),
        pytest.param(Exotic(), "onnx", "bessel_j0", marks=needs_onnx),
        (TwoFaced(), "pt2", "what comes out deviates by 0.01 of the largest value"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_what_was_there(
    backbone: nn.Module, kind: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model.{kind}"
    path.write_text("before", "utf-8")
    told = rf"model.{kind}: backbone resnet18 cannot be exported to .{kind} \(.*{reason}.*\); use .* .safetensors, or"
    with pytest.raises(InputError, match=told):
        new_model(backbone).export(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text("utf-8") == "before"


def test_want_of_memory_is_not_blamed_on_the_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: nn.Module) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(deployed, "trace", fail)
    with pytest.raises(RuntimeError, match=r"^DefaultCPUAllocator"):
        new_model(Stub()).export(tmp_path / "model.pt2")


def test_other_endings_and_a_missing_extra_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model(Stub())
    with pytest.raises(InputError, match=r"model.pt: give a name that ends in .onnx or .pt2"):
        model.export(tmp_path / "model.pt")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"^[^(]*onnxruntime[^(]*: ONNX needs it; pip install -e '.\[onnx\]', or"):
        model.export(tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"pip install -e '.\[onnx\]'"):
        read_card(tmp_path / "model.onnx")
    for name in ("model.onnx", "model.pt2"):
        with pytest.raises(InputError, match=rf"{name}: is for use without this program; give the .safetensors file"):
            Model.load(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_have_no_card(exported: Path, tmp_path: Path) -> None:
    content, path = exported.read_bytes(), tmp_path / exported.name
    for damaged in (b"", content[: len(content) // 2], b"x" * 1000, content.replace(b'"backbone"', b'"backbonE"')):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"{path}: holds no model of this version of hcga"):
            read_card(path)
    with pytest.raises(InputError, match=r"none.pt2: holds no model"):
        read_card(tmp_path / "none.pt2")
    with zipfile.ZipFile(tmp_path / "bomb.pt2", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/extra/hcga", b" " * (deployed.LONGEST + 1))
    with pytest.raises(InputError, match=r"bomb.pt2: .*\(a card of 10,000,001 bytes"):
        read_card(tmp_path / "bomb.pt2")


def test_a_network_without_any_value_deviates_by_nothing(tmp_path: Path) -> None:
    model = new_model(Stub())
    nn.init.zeros_(model._network.foreground_neck.weight)
    assert write_deployed(model._network, model.card, model.digest, tmp_path / "model.pt2") < CLOSE
