"""What crosses the wire, clause by clause, on raw sockets at both ends.

A case scripts a client and a backend byte for byte and asserts on what arrived at either end. It
does not know which gateway stands between them: each engine of rgate, or a peer configured alike.
"""
