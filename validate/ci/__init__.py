"""Parity in continuous integration: what a recipe gives on a target now, checked against what it gave before."""
