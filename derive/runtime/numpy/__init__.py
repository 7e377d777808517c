"""The functions of a generated module over NumPy: checks, conversion of arrays, and what is handed back."""
