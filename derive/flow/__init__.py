"""Gradient flow: how much of a gradient is left after many steps, and why.

measure.py computes the norms and spectra with the compiled kernels, view.py shows them as a table or a picture.
"""

from derive.flow.measure import Flow, Start, flow, starts

__all__ = ["Flow", "Start", "flow", "starts"]
