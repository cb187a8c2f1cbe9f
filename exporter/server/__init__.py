"""A bundle behind HTTP: its page with the headers that threads need, or an interface that makes files of requests."""
