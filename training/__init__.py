"""How the small model was made, from procedural objects to the shipped weights. Run `python -m training --help`."""
