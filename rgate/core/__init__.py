"""Every decision that rgate takes: values in, values out.

Nothing in this package opens a socket, starts a thread, reads a clock or the environment;
time and randomness come in as arguments. `tests/unit/test_architecture.py` holds it to that.
"""
