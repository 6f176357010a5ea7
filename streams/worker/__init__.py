"""The worker: a process that serves pools, a member of each pool's consumer group."""

from streams.worker.worker import Worker

__all__ = ["Worker"]
