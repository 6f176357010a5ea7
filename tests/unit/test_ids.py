"""Task ids: UUIDs of version 7, in the order of their time."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from streams.ids import repeatable, task_id, task_time_ms

MOMENTS = st.integers(0, (1 << 48) * 1_000 - 1)


@given(MOMENTS, st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_version_7_with_its_time_and_all_its_randomness(
    now_micros: int, drawn: bytes
) -> None:
    with repeatable(lambda size: drawn[:size]):
        text = task_id(now_micros)
    value = UUID(text)
    assert str(value) == text
    assert (value.version, value.variant) == (7, RFC_4122)
    assert task_time_ms(text) == now_micros // 1_000
    random, mask = int.from_bytes(drawn, "big"), ~(0xF << 76 | 0x3 << 62) & (1 << 80) - 1
    assert value.int & mask == random & mask


def test_ids_sort_by_their_time_and_differ_at_the_same_time() -> None:
    assert task_id(1_790_000_000_000_000) < task_id(1_790_000_000_001_000)
    assert len({task_id(5) for _ in range(1_000)}) == 1_000
