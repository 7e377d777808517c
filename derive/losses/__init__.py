"""One file per loss or readout: equations and nothing else."""
