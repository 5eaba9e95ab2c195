"""Running a graph: the step loop, what it records, keeps and tells."""
