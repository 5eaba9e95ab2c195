"""Document to graph: names are resolved, node types found, and the nodes are put in order."""
