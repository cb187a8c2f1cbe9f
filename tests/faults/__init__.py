"""What build machines, networks and people do to bundles and releases: each fault a loop with a count.

One fault a file, which holds a `FAULT`; `python -m tests.faults` (`make test-faults`) finds them all, runs them at
their counts and writes docs/reliability.md; tests/test_faults.py runs a sample of the same loops.
"""
