"""Timings of the compiled cells beside those of other libraries, and the limits of the processor in the same minutes.

    python -m benchmarks run          measures; writes benchmarks/results/
    python -m benchmarks readme       copies tables into README.md and docs/figures.md

README.md in this folder says how to read the tables and how they are made.
"""
