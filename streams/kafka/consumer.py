"""A member of a consumer group, with explicit offsets and no commits of its own."""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from streams.kafka.batch import EMPTY, Messages, sort, take_ready, wait_first
from streams.kafka.errors import GROUP_DENIED, raised
from streams.ports import Consumed, Membership, RebalanceListener

log = logging.getLogger("streams.kafka")

LEAVE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 15.0
WAKE_TIMEOUT_S = 0.2
CALLBACKS_TIMEOUT_S = 1.0
READY_MAX = 10_000
_MAGIC = b"CGMDv2:"
_GENERATION = struct.Struct("=i")


class KafkaGroupConsumer:
    """Implements :class:`~streams.ports.GroupConsumer`.

    The listener runs inside the client's ``poll``, which would swallow the bookkeeping with
    any exception: what the listener raises is kept, the assignment completed, and the
    exception raised by the call of ours that was running. Partitions for which ``on_assign``
    gave no offset (or raised) stay paused.
    """

    def __init__(self, client: Consumer, topic: str, group: str) -> None:
        self._client = client
        self._topic = topic
        self._rights = {GROUP_DENIED: f"READ on group '{group}'"}
        self._listener: RebalanceListener | None = None
        self._owned: set[int] = set()
        self._gone: set[int] = set()
        self._paused: set[int] = set()
        self._held: Messages = []
        self._failure: BaseException | None = None
        self._membership = Membership(b"", -1, "")
        self._closed = False

    def subscribe(self, listener: RebalanceListener) -> None:
        self._listener = listener
        self._client.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def consume(self, records_max: int, timeout_s: float) -> Consumed:
        if self._held:
            held, self._held = self._held[:records_max], self._held[records_max:]
            return sort(held, self._rights)
        try:
            messages = wait_first(self._client, timeout_s)
            # Partitions that went before the message came cannot be the message's.
            self._gone.clear()
            if messages:
                messages += take_ready(self._client, records_max - 1)
        except KafkaException as exception:
            raise raised(exception, self._topic) from exception
        if self._gone:
            messages = [m for m in messages if m.partition() not in self._gone]
        if self._failure is not None:
            self._held = messages
            self._raise_failure()
        return sort(messages, self._rights) if messages else EMPTY

    def membership(self) -> Membership:
        try:
            token = self._client.consumer_group_metadata()
        except RuntimeError:
            # The client has none any more: it is being closed, and calls back for the last time.
            return Membership(b"", -1, "")
        if token != self._membership.token:
            self._membership = Membership(token, *parse_token(token))
        return self._membership

    def pause(self, partitions: Iterable[int]) -> None:
        self._pause(self._client, partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        resumed = self._places(self._owned.intersection(partitions))
        if resumed:
            self._client.resume(resumed)
            self._paused.difference_update(place.partition for place in resumed)
            self._wake(resumed)

    def unsubscribe(self) -> None:
        """Leave the group (a static member too); waits at most ``LEAVE_TIMEOUT_S``."""
        self._client.unsubscribe()
        end = time.monotonic() + LEAVE_TIMEOUT_S
        while (self._owned or self.membership().valid) and time.monotonic() < end:
            # What is still queued belongs to partitions that are being given up.
            wait_first(self._client, 0.02)
        self._held.clear()
        self._raise_failure()

    def close(self) -> None:
        """Release everything; a static member that did not unsubscribe keeps its partitions.

        Returns after CLOSE_TIMEOUT_S at the latest: a client whose place in the group was taken
        while it gave partitions up may never end (as in librdkafka issues 3954 and 4674).
        """
        if self._closed:
            return
        self._closed = True
        # Nobody else touches the client meanwhile: this thread waits, the listener runs in that.
        closing = threading.Thread(target=self._end_client, name="close", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)
        if closing.is_alive():
            self._listener = None
            log.warning("a consumer of %s does not end; it is left behind", self._topic)
        self._raise_failure()

    def _end_client(self) -> None:
        try:
            self._serve_callbacks()
            self._client.close()
        except BaseException as error:
            self._keep(error)

    def _serve_callbacks(self) -> None:
        """Let the client call back what it has waited to.

        One whose place in the group was taken would not do so any more when it is closed, and
        waits for it: for ever, and with a whole CPU (measured with librdkafka 2.16.0). It comes
        behind the records that were fetched before.
        """
        end = time.monotonic() + CALLBACKS_TIMEOUT_S
        while time.monotonic() < end:
            try:
                if not take_ready(self._client, READY_MAX):
                    return
            except KafkaException as error:
                log.debug("closing a consumer of %s: %s", self._topic, error)

    def _pause(self, client: Consumer, partitions: Iterable[int]) -> None:
        chosen = self._owned.intersection(partitions)
        if chosen:
            client.pause(self._places(chosen))
            self._paused |= chosen

    def _places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, p) for p in partitions]

    def _wake(self, resumed: list[TopicPartition]) -> None:
        """Have the client fetch again now: any request to the partitions' leaders does that.

        Its thread for a broker that has nothing to fetch sleeps for a second, and resuming does
        not wake it (measured: 0.7 to 1.0 s without this, 0.01 s with it).
        """
        asked = [TopicPartition(self._topic, place.partition, 0) for place in resumed]
        with suppress(KafkaException):
            self._client.offsets_for_times(asked, WAKE_TIMEOUT_S)

    def _on_assign(self, client: Consumer, gained: list[TopicPartition]) -> None:
        partitions = [place.partition for place in gained]
        self._owned.update(partitions)
        offsets: Mapping[int, int] = {}
        try:
            # While it is closed the client may still be given some, and gives them up at once. Its
            # listener must not possess them: another consumer may have taken this one's place.
            if self._listener is not None and not self._closed:
                offsets = self._listener.on_assign(partitions)
        except BaseException as exception:
            self._keep(exception)
        try:
            client.incremental_assign(
                [TopicPartition(self._topic, p, offsets.get(p, OFFSET_INVALID)) for p in partitions]
            )
            self._pause(client, [p for p in partitions if p not in offsets])
        except BaseException as exception:
            self._keep(exception)

    def _on_revoke(self, client: Consumer, given_up: list[TopicPartition]) -> None:
        tell = self._listener.on_revoke if self._listener is not None else None
        self._give_up(client, given_up, tell)

    def _on_lost(self, client: Consumer, lost: list[TopicPartition]) -> None:
        tell = self._listener.on_lost if self._listener is not None else None
        self._give_up(client, lost, tell)

    def _give_up(
        self,
        client: Consumer,
        places: list[TopicPartition],
        tell: Callable[[Sequence[int]], None] | None,
    ) -> None:
        partitions = [place.partition for place in places]
        try:
            if tell is not None:
                tell(partitions)
        except BaseException as exception:
            self._keep(exception)
        self._owned.difference_update(partitions)
        self._gone.update(partitions)
        try:
            # The client remembers a pause beyond the assignment: a partition that comes back
            # would never be fetched again.
            if paused := self._paused.intersection(partitions):
                self._paused -= paused
                client.resume(self._places(paused))
            client.incremental_unassign(places)
        except BaseException as exception:
            self._keep(exception)

    def _keep(self, exception: BaseException) -> None:
        if self._failure is None:
            self._failure = exception

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if isinstance(failure, KafkaException):
            raise raised(failure, self._topic) from failure
        if failure is not None:
            raise failure


def parse_token(token: bytes) -> tuple[int, str]:
    """Generation and member id inside the client's group metadata; (-1, "") if not joined.

    The layout is librdkafka's: a mark, the generation as a native 32-bit integer, group and
    member id each ended by a NUL, then the instance id. Another layout counts as not joined,
    so a newer client is refused loudly instead of committing unfenced.
    """
    if not token.startswith(_MAGIC) or len(token) < len(_MAGIC) + _GENERATION.size:
        return -1, ""
    (generation,) = _GENERATION.unpack_from(token, len(_MAGIC))
    texts = token[len(_MAGIC) + _GENERATION.size :].split(b"\0")
    member_id = texts[1].decode() if len(texts) > 1 else ""
    return (generation, member_id) if generation >= 0 and member_id else (-1, "")
