"""Relatives of the GRU: one state, and gates that decide what it keeps."""
