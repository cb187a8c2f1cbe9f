"""Graph rewrites, one a file: each takes a graph and changes it in place without changing what it computes."""
