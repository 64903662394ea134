"""Writing down what a graph was compiled to."""
