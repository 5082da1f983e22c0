"""Made-up content of files, the same in every run, and what must become of it."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from hcga.errors import InputError

set_hypothesis_home_dir(str(Path(tempfile.gettempdir()) / "hypothesis-of-hcga"))  # nothing in the checkout
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["../x", "/etc", "~", "a\nb", "<b>", "$(id)", "\udcff", "init", 10**400, "cpu", "r1", -1, 0, 1, 2, 3]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3), max_leaves=6
)
YAML_WORDS = [
    *("&a", "*a", "<<", ": ", ":\n  ", "- ", "\n", "? ", "[", "]", "{", "}", "!!int x", "!!float y", "!!timestamp z"),
    *("!!binary =", "!!bool x", "!!python/object/apply:os.system [id]", "!!set", "!!omap", "2024-99-99", "0x", ".inf"),
    *(
        "~",
        "seed",
        "1_0",
        "'",
        '"',
        "|",
        ">",
        "%YAML 9.9",
        "---",
        "\t",
        "\0",
        "9" * 5000,
        "[" * 3000,
        "1:99:99",
        "\udcff",
    ),
]
YAML_TEXTS = st.lists(st.sampled_from(YAML_WORDS) | st.text(max_size=4), max_size=12).map("".join)
PIECES = [
    *("0001", "-1", "1", "c1", "_c1s1_000451_03", "_c1_f01", "_", "s1", "f", ".jpg", ".png", ".tif", ".JPG", "²", "٣"),
    *(
        "9" * 12,
        "\n",
        "\x1b[2J",
        "\udcff",
        "<b>",
        "$(id)",
        ";",
        " ",
        "..",
        ".",
        "'",
        '"',
        ",",
        "0000_013_04_a",
        "\u202e",
    ),
]
NAMES = (
    st.lists(st.sampled_from(PIECES) | st.text(max_size=2), min_size=1, max_size=6)
    .map("".join)
    .map(lambda name: name.replace("/", "").replace("\0", ""))
    .filter(lambda name: 0 < len(name.encode("utf-8", "replace")) < 100 and name not in (".", ".."))
)
NUMBERS = ["", "0", "1", "-1", "1.5", "nan", "inf", "1e400", "9" * 30]
WORDS = ["x", "../a.jpg", "/etc/passwd", "a.jpg", "a" * 300, "\0", '"', "a\nb", "\udcff", "True", "<b>", "é"]
CELLS = st.sampled_from([*NUMBERS, *WORDS, "train", "query", "gallery"])


def few(examples: int) -> Callable[[Any], Any]:
    """Give settings for so many examples, the same in every run, none of them kept."""
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=CHECKS)


def is_read_or_refused(read: Callable[..., object], *arguments: object) -> None:
    """Whatever it is, it is read or refused in words; any other exception is a defect."""
    with suppress(InputError, click.ClickException):
        read(*arguments)


def tables(columns: list[str]) -> st.SearchStrategy[bytes]:
    """Give CSV with these columns, or some of them, and rows that may be too short or too long."""
    heads = st.sampled_from([columns, columns, columns[1:], [*columns, columns[0]], [*columns, "x"], []])
    rows = st.lists(st.lists(CELLS, min_size=len(columns) - 1, max_size=len(columns) + 1), max_size=4)
    return st.tuples(heads, rows).map(
        lambda parts: "\n".join(",".join(line) for line in [parts[0], *parts[1]]).encode("utf-8", "surrogateescape")
    )


def spoilt(whole: bytes) -> st.SearchStrategy[bytes]:
    """Give content with a few other bytes, or cut short."""
    places = st.lists(st.tuples(st.integers(0, len(whole) - 1), st.sampled_from([0, 1, 14, 15, 127, 255])), max_size=4)
    return st.tuples(places, st.integers(0, len(whole)) | st.just(len(whole))).map(
        lambda changes: bytes({**dict(enumerate(whole)), **dict(changes[0])}.values())[: changes[1]]
    )
