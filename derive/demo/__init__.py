"""The demonstration: from equations to a trained forecast of sunspots, on a terminal and as a plot."""

from derive.demo.steps import run

__all__ = ["run"]
