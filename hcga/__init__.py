"""HCGA: Human Co-parsing Guided Alignment for occluded person re-identification (Dou et al., T-IP 2022)."""

__version__ = "0.1.0"
