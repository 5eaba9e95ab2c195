"""What solvers run on: SciPy makes the steps, the NumPy engine evaluates."""
