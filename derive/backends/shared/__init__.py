"""What backends share: C expressions (printer.py), and what they ask of the equations of a lowered kernel (values.py)."""
