"""Identifiers and hashes: task ids, partitions, slots."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from struct import Struct
from uuid import UUID

_NAME = re.compile(r"[a-z][a-z0-9-]{0,48}")
_random_bytes: Callable[[int], bytes] = os.urandom
_VARIANT = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}
"""RFC 9562's variant in the two high bits of a random digit."""
_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF
NAME_RULE = "a lower-case letter, then up to 48 of a-z, 0-9 and '-'"


def is_name(text: str) -> bool:
    """Whether ``text`` may name an agent or pool: no dots or underscores, so none collide."""
    return _NAME.fullmatch(text) is not None


def task_id(now_micros: int) -> str:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, then 74 random bits."""
    moment, random = f"{now_micros // 1000:012x}", _random_bytes(10).hex()
    variant = _VARIANT[random[4]]
    return f"{moment[:8]}-{moment[8:]}-7{random[1:4]}-{variant}{random[5:8]}-{random[8:]}"


@contextmanager
def repeatable(random_bytes: Callable[[int], bytes]) -> Generator[None, None, None]:
    """Draw task ids from another source inside ``with``, so that a simulation can be repeated."""
    global _random_bytes
    before, _random_bytes = _random_bytes, random_bytes
    try:
        yield
    finally:
        _random_bytes = before


def task_time_ms(task_id: str) -> int | None:
    """The millisecond in a UUIDv7, or None if the id is not one."""
    try:
        value = UUID(task_id)
    except ValueError:
        return None
    return value.int >> 80 if value.version == 7 else None


def new_slot() -> str:
    """A slot for one start of a process: 8 random hexadecimal digits."""
    return secrets.token_hex(4)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: positive murmur2 modulo the count, as Kafka's Java client."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """32-bit murmur2 with Kafka's seed (Austin Appleby; seed from Kafka's Utils.murmur2)."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    # The words at once: for every task the partition of its key is computed.
    for k in _words(length >> 2).unpack_from(data):
        k = k * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


@lru_cache(64)
def _words(count: int) -> Struct:
    return Struct(f"<{count}I")
