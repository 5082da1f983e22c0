"""HCGA: Human Co-parsing Guided Alignment for occluded person re-identification (Dou et al., T-IP 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hcga.using.model import Model

__version__ = "0.1.0"
__all__ = ["Model", "__version__"]


def __getattr__(name: str) -> Any:
    """Load what needs PyTorch when it is first asked for."""
    if name != "Model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hcga.using.model import Model

    return Model
