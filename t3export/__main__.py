"""`python -m t3export`."""

from t3export.cli import main

main()
