"""The Numba engine: node types' functions are traced, written out as one function, and compiled."""
