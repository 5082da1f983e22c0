"""The card of a model that stands alone: what its file says so that it can be used with no other file."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hcga.errors import brief, printable
from hcga.figures import collect_figures, format_figures
from hcga.files import digest
from hcga.network.prnet import Card, Number, is_of_classifier
from hcga.params import Embed, Gam, Matching
from hcga.runs.environment import Environment
from hcga.using.calibration import Calibration, describe_calibration
from hcga.wording import counted

NO_LICENCE = "none was given: ask whoever made this model, and look at the terms of the data it was trained on"
# Of a card, what besides weights decides an embedding.
DECIDING = {"backbone", "channels", "attention", "part_classes", "pooling", "height", "width", "mean", "std"}
FORMAT = 1  # of a card in a file: another one for each change that a program of before cannot read
Text = Annotated[str, Field(max_length=10_000)]
Label = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0)]
Value = bool | int | Number | Label | None
Values = Annotated[list[Value], Field(max_length=100)] | Annotated[dict[Label, Value], Field(max_length=10)]
Section = Annotated[dict[Label, Value | Values], Field(max_length=1000)]  # of params.yaml, of any version


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counted(_Frozen):
    """Size of one split of a data set."""

    images: Count
    identities: Count  # without distractors and junk


class DataSet(_Frozen):
    """A data set that a model was trained or tested on."""

    layout: Label
    splits: Annotated[dict[Label, Counted], Field(max_length=3)]


class Use(_Frozen):
    """How people are embedded and compared with a model, and where it is from."""

    gam: Gam
    embed: Embed
    matching: Matching
    round: Label
    datasets: Annotated[dict[Label, DataSet], Field(max_length=100)]
    validation: Number | None  # share of the training identities that query and gallery are, if so
    figures: Annotated[dict[Label, Number], Field(max_length=1000)]  # as `hcga.figures.collect_figures` calls them
    initial_weights: Label  # of the backbone: package, hub, none, or that it was a file
    code: Text  # the Git commit, and what was not as committed
    licence: Text
    hcga: Label  # version
    calibration: Calibration | None = None  # of similarities
    digest: Label | None = None  # see `model_digest`: of the weights in a file, so that damage to them is seen
    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)] = FORMAT
    params: Annotated[dict[Label, Section], Field(max_length=20)]  # that made it


class ModelCard(Card):
    """A card with what a round has beyond that which stage train writes: figures, and how it is used."""

    use: Use

    def with_use(self, **changes: object) -> ModelCard:
        """Give the card with other values in `use`, unchecked."""
        return self.model_copy(update={"use": self.use.model_copy(update=changes)})

    @model_validator(mode="before")
    @classmethod
    def _is_of_this_format(cls, values: Any) -> Any:
        use = values.get("use") if isinstance(values, dict) else None
        found = use.get("format") if isinstance(use, dict) else None
        if isinstance(use, dict) and found != FORMAT:
            raise ValueError(f"it is of format {brief(found)}, this version reads {FORMAT}")
        return values

    @model_validator(mode="after")
    def _features_are_trained(self) -> ModelCard:
        features = self.use.matching.features
        if features != "I" and not self.parsing:
            raise ValueError(f"use.matching.features is {features}, but it was trained without parsing: only I can be")
        return self


def model_digest(tensors: dict[str, torch.Tensor], card: ModelCard) -> str:
    """Digest of what decides an embedding: weights, network, size of the input, GAM, flip; 32 hexadecimal digits.

    Classifiers do not.

    The file of a model and the round that it was made of have the same, whatever they say of licence and figures.
    """
    settings = card.model_dump_json(include={**dict.fromkeys(DECIDING, True), "use": {"gam", "embed"}})
    weights = [
        part
        for name, value in sorted(tensors.items())
        if not is_of_classifier(name)
        for part in (f"{name} {value.dtype} {tuple(value.shape)}".encode(), value.cpu().contiguous().numpy().tobytes())
    ]
    return digest(settings.encode(), *weights)


def describe_card(card: ModelCard, made: str) -> str:
    """Lines of text that say what a model is; `made` is its digest."""
    use = card.use
    gam = "off" if use.gam.t is None else f"t = {use.gam.t:g}"
    maps = "as in training (Eq. 7)" if use.embed.binary is None else f"{use.embed.binary:g} or 0 (Eq. 8)"
    least = {"share": f", least share {use.matching.least_share:g}"}
    least |= {"confident": f", least confidence {use.matching.least_confidence:g}"}
    rows = {
        "model": f"{made}, epoch {card.epoch} of round {use.round}, by hcga {use.hcga}",
        "network": f"{card.backbone}, {card.channels} channels, {'' if card.attention else 'no '}attention, "
        f"{card.part_classes} part classes, started from weights: {use.initial_weights}",
        "input": f"{card.height} x {card.width} pixels (height x width), RGB in [0, 1] less {_listed(card.mean)}, "
        f"divided by {_listed(card.std)}",
        "embedding": f"GAM {gam}, part maps {maps}, pooled by {card.pooling}, "
        f"{'with' if use.embed.flip else 'without'} the mirror image",
        "matching": f"features {use.matching.features}, similarity {use.matching.similarity}, "
        f"visibility {use.matching.visibility}{least.get(use.matching.visibility, '')}",
        **{f"data {name}": _describe_set(data_set) for name, data_set in use.datasets.items()},
        "tested on": "held-out training identities" if use.validation else "the sets' own query and gallery",
        "calibrated": describe_calibration(use.calibration) if use.calibration else "no: similarities order, no more",
        "trained": ", ".join([*_how(card), f"seed {card.seed}", _where(card.environment)]),
        "code": use.code,
        "licence": use.licence,
    }
    width = max(len(name) for name in rows)
    lines = [f"{name:{width}}  {_indented(text, width + 2)}" for name, text in rows.items()]
    figures = format_figures(collect_figures({use.round: {**use.figures, "epoch": card.epoch}}))
    return printable("\n".join([*lines, "", "figures, per cent:", figures]))


def _describe_set(data_set: DataSet) -> str:
    splits = [
        f"{name} {counted.images:,} images of {counted.identities:,} identities"
        for name, counted in data_set.splits.items()
    ]
    return f"layout {data_set.layout}: {', '.join(splits)}"


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _how(card: ModelCard) -> list[str]:
    """How it was trained, as far as the file says so."""
    told = {
        "learning rate": card.use.params.get("train", {}).get("learning_rate"),
        "masks by": card.use.params.get("coparse", {}).get("source"),
    }
    return [counted(card.epoch, "epoch"), *(f"{name} {value}" for name, value in told.items() if value is not None)]


def _where(environment: Environment | None) -> str:
    return f"{environment.device}, torch {environment.torch}" if environment else "nobody noted where"


def _indented(text: str, width: int) -> str:
    return text.replace("\n", "\n" + " " * width)
