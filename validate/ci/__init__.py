"""Parity in continuous integration: what a recipe gives on a target now, held to what it gave before."""
