"""A report that is live: `graphrun watch` serves it, and loads and runs the graph file anew whenever it is saved."""
