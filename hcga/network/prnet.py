"""PRNet (III-C): shared map, parsing head, guided alignment, three necks."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from hcga.network.backbone import Backbone, pixel_statistics
from hcga.params import Pooling, Positive, Side
from hcga.runs.environment import Environment

LARGEST = 10**6  # of the sizes that a card names
SMALLEST = 1e-6  # mean weight of a part that divides: a hundredth of what one cell in 4,096 has at 1/4
Number = Annotated[float, Field(allow_inf_nan=False)]


class Card(BaseModel):
    """What must be known to rebuild a PRNet and to read its input; travels inside its file of weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: Annotated[str, Field(max_length=200)]
    channels: Annotated[int, Field(ge=1, le=LARGEST)]  # q
    attention: bool
    part_classes: Annotated[int, Field(ge=2, le=255)]  # C
    identities: Annotated[int, Field(ge=0, le=LARGEST)]  # outputs of the classifiers; 0: it has none
    height: Side  # of the input, pixels
    width: Side
    mean: Annotated[list[Number], Field(min_length=3, max_length=3)]  # of RGB in [0, 1]
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    pooling: Pooling  # of foreground and parts, see `pool_aligned`
    epoch: Annotated[int, Field(ge=0)]  # trained so far
    parsing: bool  # whether its rounds had masks; without, the image feature alone is trained
    seed: int | None = None  # of its training
    environment: Environment | None = None  # in which it was trained last
    image_set: Annotated[str, Field(max_length=200)] | None = None  # on which, see `hcga.stores.IMAGE_SET`


class Training(NamedTuple):
    """What the loss of Eq. (9) looks at; N images, I identities, C part classes."""

    image_features: torch.Tensor  # (N, q), before the neck
    image_logits: torch.Tensor  # (N, I)
    foreground_logits: torch.Tensor  # (N, I)
    part_logits: torch.Tensor  # (N, I)
    parsing_logits: torch.Tensor  # (N, C, h, w)


class Embedding(NamedTuple):
    """What matching looks at; features after the necks."""

    image: torch.Tensor  # (N, q)
    foreground: torch.Tensor  # (N, q)
    parts: torch.Tensor  # (N, C - 1, q)
    likely: torch.Tensor  # (N, C - 1), share of the cells whose most likely class the part is
    guided: torch.Tensor  # (N, C - 1), share of the cells that GAM leaves to the part; at 0 its vector is empty
    peak: torch.Tensor  # (N, C - 1), the part's highest probability in any cell
    parsed: torch.Tensor  # (N, h, w) uint8, most likely class of each cell


class PRNet(nn.Module):
    """The person re-identification network.

    Parameters
    ----------
    card : Card

    Notes
    -----
    Images come as (N, H, W, 3) uint8 RGB and are normalised inside.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.backbone = Backbone(card.backbone, card.channels, card.attention)
        self._pooling: Pooling = card.pooling
        self.parsing_head = nn.Conv2d(card.channels, card.part_classes, 1)
        part_features = card.channels * (card.part_classes - 1)
        self.image_neck, self.image_classifier = _neck(card.channels, card.identities)
        self.foreground_neck, self.foreground_classifier = _neck(card.channels, card.identities)
        self.part_neck, self.part_classifier = _neck(part_features, card.identities)
        self.register_buffer("mean", torch.tensor(card.mean), persistent=False)
        self.register_buffer("std", torch.tensor(card.std), persistent=False)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Compute V, the shared map: (N, H, W, 3) uint8 -> (N, q, H/4, W/4) float."""
        pixels = (images / 255 - self.mean) / self.std
        result: torch.Tensor = self.backbone(pixels.permute(0, 3, 1, 2))
        return result

    def forward(self, images: torch.Tensor, t: float | None) -> Training:
        """Compute what Eq. (9) needs of images (N, H, W, 3) uint8, with GAM's training rule; see `guide_training`."""
        maps = self.maps(images)
        parsing_logits = self.parsing_head(maps)
        confidence = parsing_logits.softmax(1)[:, 1:]
        image = maps.mean((2, 3))
        foreground, parts = pool_aligned(maps, confidence, guide_training(confidence, t), self._pooling)
        return Training(
            image,
            self.image_classifier(self.image_neck(image)),
            self.foreground_classifier(self.foreground_neck(foreground)),
            self.part_classifier(self.part_neck(parts.flatten(1))),
            parsing_logits,
        )

    def embed(self, images: torch.Tensor, t: float | None, binary: float | None = 1, flip: bool = False) -> Embedding:
        """Compute the features for matching; call in eval mode.

        Parameters
        ----------
        images : (N, H, W, 3) uint8
        t : float or None
            Threshold of GAM; None goes without.
        binary : float or None
            Part maps are this or 0, GAM's inference rule (Eq. 8), or with None what they are in training (Eq. 7).
        flip : bool
            V is the mean of the image's and of its mirror image's turned back, and all that follows is of that one map:
            an image and its mirror image have the same features, and one parsing says which cells are whose.
        """
        maps = self.maps(images)
        if flip:
            maps = (maps + self.maps(images.flip(2)).flip(3)) / 2
        probability = self.parsing_head(maps).softmax(1)
        parsed = probability.argmax(1)
        confidence = probability[:, 1:]
        guided = guide_training(confidence, t) if binary is None else guide_inference(confidence, t, binary)
        foreground, parts = pool_aligned(maps, confidence, guided, self._pooling)
        likely = torch.stack([parsed == part for part in range(1, probability.shape[1])], 1)
        return Embedding(
            self.image_neck(maps.mean((2, 3))),
            self.foreground_neck(foreground),
            self.part_neck(parts.flatten(1)).view_as(parts),
            likely.float().mean((2, 3)),
            (guided > 0).float().mean((2, 3)),
            confidence.amax((2, 3)),
            parsed.to(torch.uint8),
        )


def guide_training(confidence: torch.Tensor, t: float | None) -> torch.Tensor:
    """GAM in training, Eq. (7): confidence of at most 1/t becomes 0; t = None leaves it as it is.

    Parameters
    ----------
    confidence : (N, C - 1, h, w) float
        Probabilities of the parts.
    t : float or None

    Returns
    -------
    (N, C - 1, h, w) float
    """
    return confidence if t is None else confidence * (confidence > 1 / t)


def guide_inference(confidence: torch.Tensor, t: float | None, value: float) -> torch.Tensor:
    """GAM in inference, Eq. (8): `value` where the confidence is above 1 - 1/t, else 0.

    It is 1 in the paper and 0.5 in the authors' code. Cosines are of what follows the neck, which centres, so they see
    that: as if the part had half of its area. Shapes as in `guide_training`.
    """
    return confidence if t is None else value * (confidence > 1 - 1 / t).to(confidence.dtype)


def pool_aligned(
    maps: torch.Tensor, confidence: torch.Tensor, guided: torch.Tensor, pooling: Pooling = "area"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Average-pool the shared map under the foreground map and under each part map.

    Parameters
    ----------
    maps : (N, q, h, w) float
    confidence : (N, C - 1, h, w) float
        Their sum is the foreground map, Eq. (6); GAM concerns the part maps only.
    guided : (N, C - 1, h, w) float
        The part maps after GAM.
    pooling : {'area', 'mean'}
        area: the mean over all cells of V times the cell's weight (III-C, authors), so that a vector is as long as its
        part is large; the neck centres what follows, so its direction depends on that too. mean, not in the paper: that
        by the mean weight, whatever the size; where no cell has any weight the vector is 0.

    Returns
    -------
    foreground : (N, q) float
    parts : (N, C - 1, q) float
    """
    weights = torch.cat([confidence.sum(1, keepdim=True), guided], 1).flatten(2)
    pooled = torch.bmm(weights, maps.flatten(2).transpose(1, 2)) / weights.shape[2]
    if pooling == "mean":
        pooled = pooled / weights.mean(2, keepdim=True).clamp(min=SMALLEST)
    return pooled[:, 0], pooled[:, 1:]


def is_of_classifier(name: str) -> bool:
    """Whether a tensor of a PRNet is of a classifier, which training alone needs."""
    return name.partition(".")[0].endswith("_classifier")


def _neck(features: int, identities: int) -> tuple[nn.BatchNorm1d, nn.Module]:
    """Batch norm without bias and a classifier without bias."""
    neck = nn.BatchNorm1d(features)
    neck.bias.requires_grad_(False)
    if not identities:
        return neck, nn.Identity()
    classifier = nn.Linear(features, identities, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return neck, classifier


def new_card(
    backbone: str,
    channels: int,
    attention: bool,
    part_classes: int,
    identities: int,
    size: tuple[int, int],
    pooling: Pooling = "area",
) -> Card:
    """Describe an untrained PRNet; `size` is (height, width) of the input in pixels."""
    mean, std = pixel_statistics(backbone)
    return Card(
        backbone=backbone,
        channels=channels,
        attention=attention,
        part_classes=part_classes,
        pooling=pooling,
        identities=identities,
        height=size[0],
        width=size[1],
        mean=mean,
        std=std,
        epoch=0,
        parsing=False,
    )
