"""Graph to plan: the schedule of integers that engines read."""
