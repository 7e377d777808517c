"""Backends: from lowered kernels to code, one folder each."""
