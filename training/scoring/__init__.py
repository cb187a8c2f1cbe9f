"""How good the small model is: every figure of its model card, from the shipped files alone."""
