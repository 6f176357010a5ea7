"""The client: submits tasks and follows their results."""

from streams.client.client import Client
from streams.client.handles import Batch, Handle

__all__ = ["Batch", "Client", "Handle"]
