"""Networks beside the code of their authors, at full size with random weights: each holds that ours compute the same."""
