"""The client: submits tasks and follows their results."""

from streams.client.client import Batch, Client, Handle

__all__ = ["Batch", "Client", "Handle"]
