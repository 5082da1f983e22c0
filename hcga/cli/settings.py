"""Values that people set on the command line, as --set KEY=VALUE."""

from __future__ import annotations

from collections.abc import Sequence

from hcga.errors import InputError
from hcga.validation import read_yaml


def read_settings(settings: Sequence[str], example: str) -> dict[str, object]:
    """Keys and values, as YAML has them; the last counts where a key comes twice.

    Parameters
    ----------
    settings : sequence of str
        Each KEY=VALUE.
    example : str
        For who has written something else.

    Raises
    ------
    InputError
        One is not KEY=VALUE, or its value is none in YAML.
    """
    values = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: write KEY=VALUE, such as {example}")
        values[key] = read_yaml(value, f"--set {setting}: {value!r} is no value in YAML; write one as in params.yaml")
    return values
