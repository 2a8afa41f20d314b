"""Which containers there are: asked of Docker, and kept current."""
