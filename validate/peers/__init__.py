"""Other quantizers on the same programs and the same recorded inputs, each in an environment of its own."""
