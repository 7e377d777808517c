"""Relatives of the LSTM: a memory beside the output."""
