"""Who a person is: build, head, clothes and luggage, everything that stays the same between images."""

from dataclasses import dataclass

import numpy as np

from hcga.datasets.synthetic.fabric import Colour, Fabric

CLOTHES: tuple[tuple[Colour, float], ...] = (
    ((0.09, 0.09, 0.10), 5.0),
    ((0.21, 0.21, 0.23), 3.0),
    ((0.11, 0.14, 0.27), 3.5),
    ((0.46, 0.47, 0.49), 2.5),
    ((0.88, 0.88, 0.86), 3.5),
    ((0.75, 0.66, 0.52), 1.5),
    ((0.36, 0.24, 0.17), 1.5),
    ((0.70, 0.12, 0.13), 2.0),
    ((0.38, 0.08, 0.14), 1.0),
    ((0.16, 0.31, 0.62), 2.0),
    ((0.52, 0.68, 0.86), 1.5),
    ((0.17, 0.40, 0.25), 1.0),
    ((0.36, 0.37, 0.21), 1.2),
    ((0.88, 0.72, 0.20), 0.9),
    ((0.87, 0.54, 0.62), 1.0),
    ((0.40, 0.25, 0.49), 0.8),
    ((0.84, 0.43, 0.13), 0.6),
)
"""Common clothing colours with how often each is worn."""

TROUSERS: tuple[tuple[Colour, float], ...] = (
    ((0.09, 0.09, 0.10), 5.0),
    ((0.20, 0.27, 0.42), 4.0),
    ((0.40, 0.50, 0.66), 2.0),
    ((0.12, 0.14, 0.24), 2.5),
    ((0.36, 0.36, 0.38), 2.0),
    ((0.68, 0.60, 0.47), 1.8),
    ((0.36, 0.34, 0.22), 0.8),
    ((0.82, 0.81, 0.78), 0.8),
)
"""Common colours of trousers, shorts and skirts."""

SKIN: tuple[Colour, ...] = (
    (0.93, 0.77, 0.66),
    (0.86, 0.67, 0.53),
    (0.76, 0.56, 0.42),
    (0.58, 0.40, 0.28),
    (0.40, 0.27, 0.19),
)
HAIR: tuple[tuple[Colour, float], ...] = (
    ((0.07, 0.06, 0.06), 4.0),
    ((0.20, 0.13, 0.09), 3.0),
    ((0.36, 0.23, 0.13), 2.0),
    ((0.72, 0.56, 0.32), 1.2),
    ((0.50, 0.22, 0.10), 0.6),
    ((0.62, 0.61, 0.60), 0.8),
)
HAIRSTYLES = ("short", "cropped", "bald", "bob", "long", "ponytail", "bun", "afro")
HATS = ("none", "cap", "beanie")
TOPS = ("t-shirt", "long sleeve", "jacket", "coat", "dress")
BOTTOMS = ("trousers", "shorts", "skirt")
BAGS = ("none", "backpack", "shoulder bag", "handbag")
PRINTS = ("none", "disc", "block", "band")


@dataclass(frozen=True)
class Identity:
    """A person's unchanging looks.

    Parameters
    ----------
    build, shoulders, hips, head : float
        Factors on the width of the body, of its two ends, and on the size of the head; 1 is average.
    skin, hair, hat, top, inner, bottom, shoes, bag : Fabric
        Materials; `inner` is worn under an open jacket or coat.
    hairstyle, hat_kind, top_kind, bottom_kind, bag_kind, chest_print : str
        One of `HAIRSTYLES`, `HATS`, `TOPS`, `BOTTOMS`, `BAGS`, `PRINTS`.
    emblem : Fabric
        Material of the chest print.
    side : int
        Side on which a bag is carried: 0 is the person's right, 1 the left.
    glasses, beard, open_front : bool
        Further details of face and jacket.
    """

    build: float
    shoulders: float
    hips: float
    head: float
    skin: Fabric
    hair: Fabric
    hat: Fabric
    top: Fabric
    inner: Fabric
    bottom: Fabric
    shoes: Fabric
    bag: Fabric
    emblem: Fabric
    hairstyle: str
    hat_kind: str
    top_kind: str
    bottom_kind: str
    bag_kind: str
    chest_print: str
    side: int
    glasses: bool
    beard: bool
    open_front: bool


def random_identity(rng: np.random.Generator) -> Identity:
    """Dress a random person."""
    woman = bool(rng.random() < 0.5)
    styles = (
        (0.15, 0.02, 0.01, 0.24, 0.28, 0.18, 0.08, 0.04) if woman else (0.52, 0.24, 0.14, 0.03, 0.02, 0.02, 0, 0.03)
    )
    tops = (0.27, 0.23, 0.22, 0.12, 0.16) if woman else (0.36, 0.28, 0.26, 0.10, 0.0)
    bottoms = (0.62, 0.14, 0.24) if woman else (0.76, 0.24, 0.0)
    tone = SKIN[int(rng.choice(5, p=(0.24, 0.30, 0.20, 0.14, 0.12)))]
    return Identity(
        build=float(rng.uniform(0.84, 1.24)),
        shoulders=float(rng.uniform(0.88, 0.98) if woman else rng.uniform(0.98, 1.12)),
        hips=float(rng.uniform(0.98, 1.14) if woman else rng.uniform(0.9, 1.02)),
        head=float(rng.uniform(0.92, 1.10)),
        skin=Fabric(_vary(tone, rng, 0.02), weave=0.0),
        hair=Fabric(_vary(_pick(HAIR, rng), rng, 0.015), weave=0.10),
        hat=Fabric(_vary(_pick(CLOTHES, rng), rng, 0.03), weave=0.04),
        top=_garment(rng, patterned=0.42),
        inner=Fabric(_vary(_pick(CLOTHES, rng), rng, 0.03)),
        bottom=_trousers(rng),
        shoes=Fabric(_vary(_pick(CLOTHES, rng), rng, 0.03), weave=0.03),
        bag=Fabric(_vary(_pick(CLOTHES, rng), rng, 0.03), weave=0.04),
        emblem=Fabric(_vary(_pick(CLOTHES, rng), rng, 0.03), weave=0.0),
        hairstyle=_choose(HAIRSTYLES, styles, rng),
        hat_kind=_choose(HATS, (0.78, 0.13, 0.09), rng),
        top_kind=_choose(TOPS, tops, rng),
        bottom_kind=_choose(BOTTOMS, bottoms, rng),
        bag_kind=_choose(BAGS, (0.38, 0.27, 0.18, 0.17), rng),
        chest_print=_choose(PRINTS, (0.55, 0.15, 0.17, 0.13), rng),
        side=int(rng.integers(2)),
        glasses=bool(rng.random() < 0.12),
        beard=bool(not woman and rng.random() < 0.25),
        open_front=bool(rng.random() < 0.65),
    )


def _garment(rng: np.random.Generator, patterned: float) -> Fabric:
    base, second = _vary(_pick(CLOTHES, rng), rng, 0.03), _vary(_pick(CLOTHES, rng), rng, 0.03)
    kind = _choose(("hoops", "pinstripes", "checks", "mottled"), (0.38, 0.2, 0.27, 0.15), rng)
    drawn, pitch = rng.random() < patterned, float(rng.uniform(0.036, 0.075))
    return Fabric(base, second, kind if drawn else "plain", pitch, weave=0.045)


def _trousers(rng: np.random.Generator) -> Fabric:
    base = _vary(_pick(TROUSERS, rng), rng, 0.03)
    return Fabric(base, weave=float(rng.choice([0.04, 0.07, 0.14])))


def _pick(palette: tuple[tuple[Colour, float], ...], rng: np.random.Generator) -> Colour:
    weights = np.array([weight for _, weight in palette])
    return palette[int(rng.choice(len(palette), p=weights / weights.sum()))][0]


def _choose(names: tuple[str, ...], chances: tuple[float, ...], rng: np.random.Generator) -> str:
    return names[int(rng.choice(len(names), p=np.asarray(chances) / sum(chances)))]


def _vary(colour: Colour, rng: np.random.Generator, amount: float) -> Colour:
    """Return a colour next to the given one: lighter or darker, and slightly tinted."""
    red, green, blue = np.clip(np.asarray(colour) + rng.normal(0, amount) + rng.normal(0, amount / 3, 3), 0.02, 0.98)
    return float(red), float(green), float(blue)
