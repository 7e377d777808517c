"""Spiking neurons: a step function, whose derivative is declared."""
