"""params.yaml: one frozen model a section, checked as a whole before anything runs.

Nothing here has a default value: what a run did stands in its params.yaml. The meaning and the source of each
field are written beside it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from hcga.errors import InputError, brief
from hcga.validation import explain, read_mapping, validate

Share = Annotated[float, Field(ge=0, le=1)]
LARGEST = 10**9  # products of a few of them still fit into 32 bits
Weight = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
LARGEST_SIDE = 4096  # pixels
Seed = Annotated[int, Field(ge=0, lt=2**63)]  # as torch takes it
COARSEST_STRIDE = 32  # of the backbone's last map
Side = Annotated[int, Field(ge=COARSEST_STRIDE, le=LARGEST_SIDE, multiple_of=COARSEST_STRIDE)]  # of an input, pixels


class Section(BaseModel):
    """What all sections share: unknown keys, loose types and later changes are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


S = TypeVar("S", bound=Section)


class Synthetic(Section):
    """The synthetic people of stage synthesise."""

    seed: Seed
    train_identities: Annotated[int, Field(ge=2, le=4999)]
    test_identities: Annotated[int, Field(ge=1, le=4999)]
    images_per_identity: Annotated[int, Field(ge=4, le=9999)]
    cameras: Annotated[int, Field(ge=2, le=99)]
    height: Annotated[int, Field(ge=32, le=LARGEST_SIDE)]
    width: Annotated[int, Field(ge=16, le=LARGEST_SIDE)]
    distractors: Annotated[int, Field(ge=0, le=9999)]
    query_occlusion: Share
    other_occlusion: Share

    @model_validator(mode="after")
    def _upright(self) -> Synthetic:
        if self.width > 2 * self.height:
            raise ValueError(f"width ({self.width}) must be at most twice the height ({self.height})")
        return self


Split = Literal["train", "query", "gallery"]
Pooling = Literal["area", "mean"]
LayoutName = Literal[
    "synthetic",
    "market1501",
    "dukemtmc",
    "occluded_dukemtmc",
    "occluded_reid:half",
    "occluded_reid:transfer",
    "p_dukemtmc",
    "cuhk03:detected",
    "cuhk03:labeled",
    "partial_reid:partial",
    "partial_reid:occluded",
    "partial_ilids",
    "msmt17:with_val",
    "msmt17:train_only",
    "table",
    "folder",
]


def _written_in_full(root: str) -> str:
    if root.startswith("~"):
        raise ValueError(f"{root!r}: ~ is not replaced here; write the path in full")
    return root


Root = Annotated[str, Field(min_length=1), AfterValidator(_written_in_full)]


class Dataset(Section):
    """A data set on disk, which stage catalogue lists."""

    layout: LayoutName
    root: Root
    splits: Annotated[list[Split], Field(min_length=1)]
    truth: Annotated[str, Field(pattern=r"^[^/\\]*[^/\\.][^/\\]*$")] | None
    counts: Literal["warn", "error", "ignore"]


class Prepare(Section):
    """What stage prepare makes of the data sets."""

    validation: Annotated[float, Field(gt=0, lt=1)] | None
    on_bad_image: Literal["error", "skip"]


class Image(Section):
    """Size of the network's input in pixels."""

    height: Side
    width: Side


class Backbone(Section):
    """The encoder shared by HCNet and PRNet."""

    name: str
    weights: str
    channels: Annotated[int, Field(ge=1, le=2**16)]
    attention: bool


class Coparse(Section):
    """HCNet and CPLR (III-B)."""

    source: Literal["hcnet", "isp", "external", "stripes", "none"]
    input: Literal["features", "rgb"]
    iterations: Count
    learning_rate: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    labels: Annotated[int, Field(ge=2, le=255)]
    decoder_width: Annotated[int, Field(ge=2, multiple_of=2)]
    min_labels: Annotated[int, Field(ge=1)]
    norm: Literal[1, 2]
    semantic_weight: Weight
    local_weight: Weight
    diagonal_weight: Weight
    back_weight: Weight
    rgb_local_weight: Weight
    rgb_back_weight: Weight
    window: Literal[3, 5]
    pairs: Literal["camera", "sequence"]
    background: Literal["authors", "perimeter"]
    split: Literal["structure", "equal"]
    borders: Annotated[tuple[Positive, ...], Field(strict=False)] | None  # which YAML has as a list
    workers: Count | None

    @model_validator(mode="after")
    def _consistent(self) -> Coparse:
        if self.min_labels >= self.labels:
            raise ValueError(f"min_labels ({self.min_labels}) must be below labels ({self.labels})")
        if self.borders and list(self.borders) != sorted(set(self.borders)):
            raise ValueError(f"borders {list(self.borders)} must increase")
        return self


class External(Section):
    """Part masks made elsewhere, which stage translate reads."""

    root: Root
    labels: Literal["parts", "lip", "atr", "pascal", "bodypix"] | dict[str, list[Annotated[int, Field(ge=0, le=255)]]]
    repairs: bool


class Gam(Section):
    """The guided alignment module (Eqs. 7 and 8)."""

    t: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None


class Embed(Section):
    """The features for matching (III-D)."""

    binary: Annotated[float, Field(gt=0, le=1)] | None
    flip: bool


class Train(Section):
    """The training of PRNet (III-C, IV-A)."""

    identities: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    weight_decay: Weight
    warmup_epochs: Annotated[int, Field(ge=0)]
    milestones: list[Count]
    decay: Positive
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    margin: Weight
    parsing_weight: Weight
    parsing_rate: Positive
    flip: Share
    padding: Annotated[int, Field(ge=0)]
    erasing: Share


class Matching(Section):
    """How the embeddings of two images are compared (III-D)."""

    features: Literal["I", "F", "P", "F+P", "I+F", "I+F+P"]
    similarity: Literal["paper", "authors", "mean"]
    visibility: Literal["any", "share", "confident", "soft"]
    least_share: Annotated[float, Field(gt=0, le=1)]
    least_confidence: Annotated[float, Field(ge=0, lt=1)]


class Evaluate(Matching):
    """The matching of queries with the gallery (III-D)."""

    rerank: bool
    multi_query: bool


class Round(Section):
    """One alternation: co-parse with the model of prev, then train until an epoch."""

    prev: str
    until_epoch: Annotated[int, Field(ge=0)]


class Slurm(Section):
    """Jobs that dask-jobqueue submits; queue, account and the like stand in its own configuration."""

    kind: Literal["slurm"]
    jobs: Count
    workers: Count  # a job
    cores: Count  # a job
    memory: Annotated[str, Field(pattern=r"^[1-9]\d* ?[KMGT]i?B$")]  # a job
    walltime: Annotated[str, Field(pattern=r"^\d+:[0-5]\d:[0-5]\d$")]


class Dask(Section):
    """Where extraction, co-parsing and embedding compute, if not here."""

    scheduler: Annotated[str, Field(pattern=r"^(tcp|tls)://[^\s/]+:\d+$")] | None
    cluster: Slurm | None
    share: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://\S+$")] | None
    stages: Annotated[list[Literal["extract", "coparse", "embed"]], Field(min_length=1)]  # that compute there

    @model_validator(mode="after")
    def _one_scheduler(self) -> Dask:
        if (self.scheduler is None) == (self.cluster is None):
            raise ValueError("set one of scheduler and cluster, and the other to null")
        return self


NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"  # becomes part of paths and of commands
Name = Annotated[str, Field(pattern=NAME)]


class Params(Section):
    """The whole of params.yaml."""

    seed: Seed
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: Annotated[int, Field(ge=1, le=4096)] | None
    processes: Annotated[int, Field(ge=1, le=1024)]
    part_classes: Annotated[int, Field(ge=2, le=32)]
    pooling: Pooling
    dask: Dask | None
    synthetic: Synthetic | None
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    prepare: Prepare
    image: Image
    backbone: Backbone
    coparse: Coparse
    external: External
    gam: Gam
    train: Train
    embed: Embed
    evaluate: Evaluate
    rounds: Annotated[dict[Name, Round], Field(min_length=1)]

    @model_validator(mode="after")
    def _rounds_form_one_chain(self) -> Params:
        if "init" in self.rounds:
            raise ValueError("rounds.init: the name init stands for the state before the first round; rename it")
        for name, this in self.rounds.items():
            if this.prev not in {"init", *self.rounds}:
                known = ", ".join(["init", *self.rounds])
                raise ValueError(f"rounds.{name}.prev is {this.prev!r}, but there is no such round; known: {known}")
        previous, epoch = "init", 0
        for name, this in self.rounds.items():
            if this.prev != previous:
                raise ValueError(
                    f"rounds.{name}.prev is {this.prev!r} but must be {previous!r}: rounds go on from the one above"
                )
            if this.until_epoch < epoch or (this.until_epoch == epoch and epoch):
                raise ValueError(
                    f"rounds.{name}.until_epoch is {this.until_epoch} but must be more than {epoch}, "
                    f"where {previous} ends"
                )
            previous, epoch = name, this.until_epoch
        return self

    @model_validator(mode="after")
    def _sections_fit(self) -> Params:
        if self.train.padding >= min(self.image.height, self.image.width):
            raise ValueError(f"train.padding ({self.train.padding}) must be below image.height and image.width")
        batch = self.train.identities * self.train.images
        if batch % self.processes:
            raise ValueError(
                f"processes is {self.processes}, but a batch of {batch} images (train.identities x train.images) "
                "cannot be shared equally by so many"
            )
        borders = self.coparse.borders
        if self.coparse.split == "structure" and borders is not None and len(borders) != self.part_classes - 2:
            raise ValueError(
                f"coparse.borders has {len(borders)} entries but part_classes = {self.part_classes} needs "
                f"{self.part_classes - 2}; or set it to null, or coparse.split to equal"
            )
        if self.coparse.source == "none" and self.evaluate.features != "I":
            raise ValueError(
                f"evaluate.features is {self.evaluate.features!r}, but with coparse.source: none only the image "
                "feature is trained; set evaluate.features to I"
            )
        return self


def load_params(path: str | Path) -> Params:
    """Read and check a params.yaml.

    Parameters
    ----------
    path : str or Path
        The YAML file.

    Returns
    -------
    Params

    Raises
    ------
    InputError
        Missing file, bad YAML, or any field unknown, missing, of a wrong type or impossible; all of them are
        listed, each with its name, value and remedy.
    """
    return check_params(read_params(path), str(path))


def read_params(path: str | Path) -> dict[str, Any]:
    """Read a params.yaml as it stands, without checking its fields; errors as of `read_mapping`."""
    return read_mapping(path, "run from the folder that holds params.yaml", "of sections")


def check_params(values: Mapping[str, Any], source: str) -> Params:
    """Check what a params.yaml holds; `source` begins the message.

    Raises
    ------
    InputError
        As `load_params`.
    """
    return validate(Params, values, source, _remark)


def change_section(section: S, name: str, changes: Mapping[str, Any]) -> S:
    """Give a section with other values in some of its fields, checked again.

    Raises
    ------
    InputError
        A field is unknown or its value impossible.
    """
    try:
        return section.model_validate(section.model_dump() | dict(changes))
    except ValidationError as error:
        details = [{**detail, "loc": (name, *detail["loc"])} for detail in error.errors()]
        raise InputError("\n".join(explain(Params, detail, _remark) for detail in details)) from None  # type: ignore[arg-type]


def _remark(error: ErrorDetails) -> str | None:
    """What to say of some errors."""
    if error["type"] == "missing":
        return "missing; copy the line from the params.yaml of the repository"
    if error["type"] in ("extra_forbidden", "value_error"):
        return None
    if error["loc"][0] == "datasets" and len(error["loc"]) < 3:
        fields = ", ".join(f"{name}: ..." for name in Dataset.model_fields)
        return f"{brief(error['input'])}: datasets map names to {{{fields}}}"
    if error["loc"][0] == "rounds" and len(error["loc"]) != 3:
        return f"{brief(error['input'])}: rounds map names such as r1 to {{prev: init, until_epoch: 4}}"
    return None
