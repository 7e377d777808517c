"""One file per cell: equations and nothing else.  Copy one, change the lines, and the rest follows."""
