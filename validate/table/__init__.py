"""The study's table for a model: what each quantization costs in quality and gives in bytes, time and memory."""
