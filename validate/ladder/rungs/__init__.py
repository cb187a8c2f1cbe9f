"""The rungs of the ladder, the cheap ones first. A rung is a module with NAME, TITLE and `run(context) -> Outcome`."""
