"""One file an output: embed, generate, marginals, optimize."""
