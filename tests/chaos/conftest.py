"""What breaks things for long runs the real command before real containers, as tests/integration does."""

from tests.integration.conftest import containers, demo_image, docker_client

__all__ = ["containers", "demo_image", "docker_client"]
