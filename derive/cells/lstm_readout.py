"""The LSTM with a linear readout on top: its output is p(t) = V h(t) + d."""

from derive.cells.lstm import lstm
from derive.losses.readout import readout

lstm_readout = lstm.then(readout, "lstm_readout", doc=__doc__)
