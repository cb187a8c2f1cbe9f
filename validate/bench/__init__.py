"""How long a bundle takes, how much memory, and how far that is from the original and from what the machine can do."""
