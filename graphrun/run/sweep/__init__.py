"""Many runs of one graph file, which differ in some of its values."""
