"""What declares a node type, an update rule, a solver: a function, and what its signature and trace say."""
