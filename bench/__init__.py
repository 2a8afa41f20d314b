"""rgate beside nginx, HAProxy, Envoy and Caddy: `python -m bench`, or `make bench`."""
