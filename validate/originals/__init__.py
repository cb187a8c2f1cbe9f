"""Networks beside the code of their authors, at full size with random weights."""
