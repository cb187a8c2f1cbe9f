"""`python -m tests.load`: a server under many clients, and what a kill leaves of it."""
