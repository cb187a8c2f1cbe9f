"""From a program that misses its tolerance to the first tensor, and the smallest subgraph, that breaks it."""
