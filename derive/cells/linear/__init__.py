"""Linear in the state: what multiplies it does not read it, or reads it by unit."""
