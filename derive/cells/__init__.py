"""One file per cell: equations and nothing else.  Copy one, change the lines, and the rest follows.

A cell that lies here ships: `derive build` writes it into generated/.  The folders are the zoo, one for each family: cells of
papers that are built when they are asked for.
"""
