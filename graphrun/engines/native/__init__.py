"""From a plan to compiled code: the node types' functions are traced, written out as one function, and compiled."""
