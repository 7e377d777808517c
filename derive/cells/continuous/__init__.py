"""Differential equations in small steps, and oscillators."""
