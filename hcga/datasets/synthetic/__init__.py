"""Synthetic pedestrians in the layout of Market-1501, drawn from a seed."""

from hcga.datasets.synthetic.make import synthesise

__all__ = ["synthesise"]
