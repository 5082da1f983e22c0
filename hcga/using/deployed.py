"""A model as a file that runs without this program: ONNX, or an ExportedProgram of PyTorch.

Both take `images`, (N, H, W, 3) uint8, RGB of the card's size, for any N, and give by name what
`hcga.network.prnet.Embedding` has, and `visible`, (N, C - 1) float32, by the card's rule. Normalisation and GAM are
inside. ONNX needs the packages of the extra `onnx`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hcga.errors import InputError
from hcga.files import fresh
from hcga.network.prnet import Embedding, PRNet
from hcga.resources import blame_machine
from hcga.retrieval.visibility import how_visible
from hcga.using.card import ModelCard

ONNX, PROGRAM = ".onnx", ".pt2"
OPSET = 20
INPUT, OUTPUTS = "images", (*Embedding._fields, "visible")
CONTINUOUS = ("image", "foreground", "peak")  # outputs that no threshold has decided
CARD, DIGEST = "hcga", "hcga_digest"  # keys of the metadata
LONGEST = 10**7  # bytes of a card
TRACED, TRIED = 2, 3  # images at once; one would be taken for a constant
TOLERANCE = 1e-3  # of the largest value; a file that deviates more computes something else
FAILURES = (RuntimeError, ValueError, TypeError, AssertionError, AttributeError)  # of exporters
Run = Callable[[np.ndarray], dict[str, np.ndarray]]


class Deployed(nn.Module):
    """A PRNet that embeds as its card says.

    Parameters
    ----------
    network : PRNet
        In eval mode; it is copied to the CPU, without its classifiers.
    card : ModelCard
    """

    def __init__(self, network: PRNet, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        self.network = deepcopy(network).cpu().to(memory_format=torch.contiguous_format).requires_grad_(False)
        for name in ("image", "foreground", "part"):
            delattr(self.network, f"{name}_classifier")

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute all of `OUTPUTS`; (N, H, W, 3) uint8."""
        use = self.card.use
        found = self.network.embed(images, use.gam.t, use.embed.binary, use.embed.flip)
        visible = how_visible(found.likely, found.peak, use.matching)
        return {**found._asdict(), "visible": visible.float()}


def write_deployed(network: PRNet, card: ModelCard, digest: str, path: Path) -> float:
    """Write a model as ONNX or as an ExportedProgram, once it is seen to compute what the network does.

    Equal models give equal bytes, if the versions of PyTorch and of the exporters are the same.

    Parameters
    ----------
    network : PRNet
        In eval mode.
    card : ModelCard
    digest : str
        See `hcga.using.card.model_digest`; it travels in the file, as the card does.
    path : Path
        It ends in .onnx or .pt2.

    Returns
    -------
    float
        How far the file deviates from the network at most, on images of noise, as a share of the largest value.

    Raises
    ------
    InputError
        The path ends in something else, the extra is missing, or the backbone cannot be exported.
    """
    if path.suffix not in (ONNX, PROGRAM):
        raise InputError(f"{path}: give a name that ends in {ONNX} or {PROGRAM}")
    deployed, metadata = Deployed(network, card), {CARD: card.model_dump_json(), DIGEST: digest}
    try:
        program = trace(deployed)
        content = as_onnx(program, metadata) if path.suffix == ONNX else _packed(program, metadata)
        run = run_onnx(content) if path.suffix == ONNX else run_module(program.module())
        deviation = _deviation(deployed, run)
    except FAILURES as error:
        blame_machine(error)
        raise _refused(path, card, _reason(error)) from error
    if not deviation <= TOLERANCE:
        raise _refused(path, card, f"what comes out deviates by {deviation:.1g} of the largest value")
    with fresh(path, flushed=True) as draft:
        draft.write_bytes(content)
    return deviation


def trace(deployed: Deployed) -> torch.export.ExportedProgram:
    """Record what a model computes of any number of images."""
    images = torch.zeros(TRACED, deployed.card.height, deployed.card.width, 3, dtype=torch.uint8)
    shapes = {INPUT: {0: torch.export.Dim("N")}}
    program = torch.export.export(deployed, (images,), dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # has paths of this machine
    return program


def as_onnx(program: torch.export.ExportedProgram, metadata: dict[str, str]) -> bytes:
    """Translate a recorded model to ONNX."""
    _require_onnx()
    made: Any = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=OUTPUTS,
        dynamic_shapes={INPUT: {0: "N"}},  # else the axis has a name that is made up
        verbose=False,
    )
    made.model.metadata_props.update(metadata)
    return made.model_proto.SerializeToString(deterministic=True)


def run_onnx(content: bytes, threads: int = 0) -> Run:
    """Give what computes the outputs of an ONNX file by onnxruntime on the CPU; 0 threads are one a core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: dict(zip(OUTPUTS, session.run(OUTPUTS, {INPUT: images}), strict=True))


def run_module(module: nn.Module) -> Run:
    """Give what computes the outputs by PyTorch."""

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            return {name: values.numpy() for name, values in module(torch.from_numpy(images)).items()}

    return run


def read_card(path: Path) -> tuple[ModelCard, str]:
    """Read the card and the model's digest from a file of `write_deployed`; nothing of the model is run or unpickled.

    Raises
    ------
    InputError
        It is no such file, or onnx is missing.
    """
    try:
        metadata = _metadata_of_onnx(path) if path.suffix == ONNX else _metadata_of_program(path)
        return ModelCard.model_validate_json(metadata[CARD]), metadata[DIGEST]
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        blame_machine(error)
        raise InputError(
            f"{path}: holds no model of this version of hcga ({error}); `hcga model export` makes one"
        ) from None


def _packed(program: torch.export.ExportedProgram, metadata: dict[str, str]) -> bytes:
    packed = io.BytesIO()  # a file's name would stand in it
    torch.export.save(program, packed, extra_files=metadata)
    return packed.getvalue()


def _deviation(deployed: Deployed, run: Run) -> float:
    shape = (TRIED, deployed.card.height, deployed.card.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    wanted, found = run_module(deployed)(images), run(images)
    return max(relative_deviation(wanted[name], found[name]) for name in CONTINUOUS)


def relative_deviation(wanted: np.ndarray, found: np.ndarray) -> float:
    """Largest difference, as a share of the largest value that is wanted."""
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), np.finfo(np.float32).tiny))


def _refused(path: Path, card: ModelCard, reason: str) -> InputError:
    return InputError(
        f"{path}: backbone {card.backbone} cannot be exported to {path.suffix} ({reason}); use the model as "
        ".safetensors, or train one with another backbone, such as hrnet_w32 or resnet50"
    )


def _reason(error: BaseException) -> str:
    """First line of what an error began with."""
    while error.__cause__:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _require_onnx() -> Any:
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error}: ONNX needs it; pip install -e '.[onnx]', or export to {PROGRAM}") from None
    return onnx


def _metadata_of_onnx(path: Path) -> dict[str, str]:
    onnx = _require_onnx()
    from google.protobuf.message import DecodeError

    try:
        found = onnx.load(path, load_external_data=False).metadata_props
    except DecodeError as error:
        raise ValueError(f"no ONNX: {error}") from None
    return {entry.key: entry.value for entry in found}


def _metadata_of_program(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as file:
        members = {name.partition("/extra/")[2]: file.getinfo(name) for name in file.namelist() if "/extra/" in name}
        if members[CARD].file_size > LONGEST:
            raise ValueError(f"a card of {members[CARD].file_size:,} bytes")
        return {name: file.read(members[name]).decode() for name in (CARD, DIGEST)}
