"""What TensorRT's own parser and builder would refuse or run slowly, found without TensorRT.

A rule is a small function with a name, a source and a way to mend; rules that belong together share a file.
"""
