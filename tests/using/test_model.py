"""A model in use from Python."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained import new_checkout, new_crops, new_file, new_model, new_weights

from hcga.errors import InputError
from hcga.images import load_image
from hcga.network import inference
from hcga.network.checkpoints import load_model
from hcga.params import Embed, Gam
from hcga.retrieval.similarity import Embeddings, similarity
from hcga.using import model as module
from hcga.using.card import ModelCard, describe_card
from hcga.using.embedded import NAMES, Embedded
from hcga.using.model import Model

weights = pytest.fixture(scope="module")(new_weights)
checkout = pytest.fixture(new_checkout)
model = pytest.fixture(new_model)
model_file = pytest.fixture(new_file)
crops = pytest.fixture(new_crops)
SHAPES = [(8,), (8,), (3, 8), (3,), (3,), (3,)]


def embedded(count: int, seed: int, visible: list[list[int]]) -> Embedded:
    """Random vectors with parts that are seen or not."""
    rng = np.random.default_rng(seed)
    vectors = [rng.normal(size=(count, *shape)).astype(np.float32) for shape in SHAPES[:3]]
    seen = np.array(visible, np.float32)
    return Embedded(*vectors, seen, seen, seen)


def test_it_comes_back_from_its_file_and_from_its_round(model: Model, model_file: Path, crops: Path) -> None:
    files = sorted(crops.rglob("*.png"))
    wanted = model.embed_files(files).embedded
    for source in (model_file, str(model_file), "r1", "workspace:r1"):
        loaded = Model.load(source, device="cpu")
        assert loaded.digest == model.digest
        assert loaded.card.use == model.card.use
        for name in NAMES:
            np.testing.assert_array_equal(getattr(loaded.embed_files(files).embedded, name), getattr(wanted, name))
    before = model_file.read_bytes()
    Model.load(model_file).save(model_file)
    assert model_file.read_bytes() == before


def test_its_file_knows_nobody_of_the_training_and_each_bit_counts(
    model: Model, model_file: Path, weights: Path, tmp_path: Path
) -> None:
    whole = load_file(model_file)
    assert {name for name in load_file(weights) if name not in whole} == {
        f"{name}_classifier.weight" for name in ("image", "foreground", "part")
    }
    content = bytearray(model_file.read_bytes())
    content[-5] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.safetensors: damaged, its weights are not those that were written"):
        Model.load(tmp_path / "damaged.safetensors")


@pytest.mark.parametrize("found", ["9", "null", '"x"'])
def test_a_file_of_another_format_says_so(model: Model, model_file: Path, tmp_path: Path, found: str) -> None:
    with safe_open(model_file, framework="pt") as file:
        card = json.loads(file.metadata()["hcga"])
    card["use"]["format"] = json.loads(found)
    save_file(load_file(model_file), tmp_path / "a.safetensors", {"hcga": json.dumps(card)})
    with pytest.raises(
        InputError, match=r"holds no model of this version of hcga \(Value error, it is of format .*, this"
    ):
        Model.load(tmp_path / "a.safetensors")


def test_an_embedding_is_that_of_stage_embed(model: Model, weights: Path, crops: Path) -> None:
    files = sorted(crops.rglob("*.png"))
    network, _ = load_model(weights)
    with torch.inference_mode():
        images = torch.from_numpy(np.stack([load_image(file, 64, 32) for file in files]))
        wanted = network.embed(images, 4, binary=None)
    found = model.embed_files(files).embedded
    for name in NAMES:
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name).numpy(), atol=1e-5)


def test_gam_part_maps_and_flip_are_those_of_the_card(model: Model, weights: Path, crops: Path) -> None:
    network, _ = load_model(weights)
    image = load_image(next(crops.rglob("*.png")), 64, 32)
    for t, binary, flip in ((1.5, 0.5, False), (None, None, False), (4, None, True)):
        use = model.card.use.model_copy(update={"gam": Gam(t=t), "embed": Embed(binary=binary, flip=flip)})
        other = Model(network, model.card.model_copy(update={"use": use}))
        with torch.inference_mode():
            wanted = network.embed(torch.tensor(image[None]), t, binary, flip)
        np.testing.assert_allclose(other.embed(image[None]).parts, wanted.parts.numpy(), atol=1e-5)
        assert other.digest != model.digest


def test_arrays_are_embedded_as_files_are(model: Model, crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(crops.rglob("*.png"))
    wanted = model.embed_files(files).embedded
    monkeypatch.setattr(module, "BATCH", 3)
    for found in (
        model.embed([np.asarray(Image.open(file)) for file in files]),
        model.embed_files(files).embedded,
    ):
        assert len(found) == 7
        for name in NAMES:
            np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-5)


@pytest.mark.parametrize(
    "crop",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)],
)
def test_what_is_no_crop_is_refused(model: Model, crop: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"crop 1: .*give \(H, W, 3\) uint8"):
        model.embed([np.zeros((8, 8, 3), np.uint8), crop])
    with pytest.raises(InputError, match=r"no crops"):
        model.embed([])


def test_bad_images_are_named_or_left_out(model: Model, crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 1)
    files = sorted(crops.rglob("*.png"))
    files[2].write_bytes(files[2].read_bytes()[:50])
    with pytest.raises(InputError, match=f"^{files[2]}: "):
        model.embed_files(files)
    found = model.embed_files(files, on_bad_image="skip")
    assert found.files == [*files[:2], *files[3:]]
    assert len(found.embedded) == 6
    assert [problem.partition(":")[0] for problem in found.problems] == [str(files[2])]
    with pytest.raises(InputError, match=f"none of 1 image can be decoded, the first: {files[2]}"):
        model.embed_files(files[2:3], on_bad_image="skip")


def test_similarity_is_that_of_the_evaluation(model: Model) -> None:
    query, gallery = embedded(2, 1, [[1, 1, 0], [0, 1, 1]]), embedded(3, 2, [[1, 0, 0], [1, 1, 1], [0, 0, 0]])
    first, second = (Embeddings(of.image, of.foreground, of.parts, of.likely) for of in (query, gallery))
    np.testing.assert_array_equal(model.similarity(query, gallery), similarity(first, second, "F+P", "paper"))
    matching = model.card.use.matching.model_copy(update={"features": "I", "similarity": "authors"})
    model.card = model.card.model_copy(update={"use": model.card.use.model_copy(update={"matching": matching})})
    np.testing.assert_array_equal(model.similarity(query, gallery), similarity(first, second, "I", "authors"))


def test_each_feature_is_compared_where_both_show_it(model: Model) -> None:
    query, gallery = embedded(2, 1, [[1, 1, 0], [0, 1, 1]]), embedded(2, 2, [[1, 0, 0], [1, 1, 1]])
    found = model.compare(query, gallery)
    assert list(found.features) == ["foreground", "head", "upper body", "lower body"]

    def cosine(first: np.ndarray, second: np.ndarray) -> float:
        return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))

    for q in range(2):
        for g in range(2):
            wanted = cosine(query.foreground[q], gallery.foreground[g])
            assert found.features["foreground"][q, g] == pytest.approx(wanted, abs=1e-6)
            for part, name in enumerate(["head", "upper body", "lower body"]):
                shared = query.likely[q, part] * gallery.likely[g, part]
                wanted = cosine(query.parts[q, part], gallery.parts[g, part]) if shared else float("nan")
                assert found.features[name][q, g] == pytest.approx(wanted, abs=1e-6, nan_ok=True)
    by_hand = (found.features["foreground"][0, 0] + found.features["head"][0, 0] / 2) / 2
    assert found.similarity[0, 0] == pytest.approx(by_hand, abs=1e-6)


def test_the_digest_is_of_what_decides_an_embedding(model: Model, weights: Path) -> None:
    network, _ = load_model(weights)
    matching = model.card.use.matching.model_copy(update={"features": "I"})
    use = model.card.use.model_copy(update={"licence": "x", "figures": {}, "matching": matching, "params": {}})
    assert Model(network, model.card.model_copy(update={"use": use, "seed": 5})).digest == model.digest
    assert Model(network, model.card.model_copy(update={"height": 128})).digest != model.digest
    changes: list[dict[str, Gam | Embed]] = [{"gam": Gam(t=2.0)}, {"embed": Embed(binary=1, flip=False)}]
    for change in [*changes, {"embed": Embed(binary=None, flip=True)}]:
        other = model.card.model_copy(update={"use": model.card.use.model_copy(update=change)})
        assert Model(network, other).digest != model.digest
    with torch.no_grad():
        network.parsing_head.bias[0] += 1
    assert Model(network, model.card).digest != model.digest


@pytest.mark.parametrize(
    "params",
    [
        {"train": {"milestones": [1] * 101}},
        {"train": {"note": "x" * 201}},
        {"rounds": {"r1": {"until_epoch": float("inf")}}},
        {"rounds": {"r1": {"until": {"epoch": 3}}}},
        {f"section{number}": {} for number in range(21)},
    ],
)
def test_params_of_a_card_are_of_bounded_size(model: Model, params: object) -> None:
    told = json.loads(model.card.model_dump_json())
    told["use"]["params"] = params
    with pytest.raises(ValidationError, match=r"use\.params"):
        ModelCard(**told)


def test_a_file_without_use_or_with_features_that_were_not_trained_is_refused(
    model: Model, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"(?s)r1.safetensors: holds no model .*use.*`hcga model export ROUND -o FILE`"
    ):
        Model.load(weights)
    model.card = model.card.model_copy(update={"parsing": False})
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"(?s)m.safetensors: .*trained without parsing"):
        Model.load(tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"none.safetensors: cannot be read"):
        Model.load("none.safetensors")
    with pytest.raises(InputError, match=r"r8: no file, and as a round of a checkout: no round of .*, and no revision"):
        Model.load("r8")


def test_a_card_is_told_in_words_without_obeying_it(model: Model) -> None:
    use = model.card.use.model_copy(update={"licence": "free\x1b[31m", "code": "commit 12ab"})
    text = describe_card(model.card.model_copy(update={"use": use}), model.digest[:12])
    for told in (model.digest[:12], "64 x 32 pixels", "GAM t = 4", "features F+P", "commit 12ab", "free\\x1b[31m"):
        assert told in text
    assert "train 3 images of 2 identities" in text
    assert "trained     6 epochs, learning rate 0.001, masks by hcnet, seed 1, " in text
    figures = [line.split() for line in text.splitlines()[-4:]]
    assert figures == [["round", "r1"], ["epoch", "6"], ["Rank-1", "43.2"], ["mAP", "32.1"]]


def test_torch_is_loaded_when_it_is_needed() -> None:
    code = "import sys, hcga; print({'torch', 'numpy'} & set(sys.modules), hcga.Model, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"set() {Model} True", done.stderr
    with pytest.raises(AttributeError, match=r"no attribute 'Models'"):
        __import__("hcga").Models  # noqa: B018
    assert module.BATCH == inference.BATCH
