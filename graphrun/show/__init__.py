"""What a reader is shown of graphs and runs."""
