"""Tasks of a writer that is newer than the workers: its schema has fields they do not know."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from io import BytesIO

from fastavro import parse_schema, schemaless_writer

from streams.avro import learn, own_schemas
from streams.records import Task

from .fault import Field, Heal, Missed

COUNT = 50
WRITTEN_S = 10.0


class NewerSchema:
    """A schema of tasks with more fields than today's; ``number`` makes it one of its own."""

    def __init__(self, number: int) -> None:
        today = next(text for text in own_schemas().values() if json.loads(text)["name"] == "Task")
        schema = json.loads(today)
        added = {"name": f"hint_{number}", "type": ["null", "string"], "default": None}
        schema["fields"].insert(3, added)
        self._added = added["name"]
        self.text = json.dumps(schema)
        self.fingerprint = learn(self.text)
        self._parsed = parse_schema(json.loads(self.text))

    def encode(self, task: Task) -> bytes:
        """The task as that writer puts it on the topic."""
        body = BytesIO()
        schemaless_writer(body, self._parsed, asdict(task) | {self._added: "a newer writer's"})
        return b"\xc3\x01" + bytes.fromhex(self.fingerprint) + body.getvalue()


class NewerWriter:
    """A client of a newer version: it publishes its schema, then submits with it."""

    name = "newer-writer"
    needs: str | None = None
    brokers = frozenset({1, 3})
    pause_s = (1.0, 3.0)

    def ready(self, field: Field) -> None:
        pass

    def strike(self, field: Field, rng: random.Random) -> Heal | None:
        field.affects("tasks of an unknown schema")
        schema = NewerSchema(rng.randrange(10**9))
        failed: list[object] = []
        producer = field.log.producer()
        producer.produce(
            field.topics.schemas,
            0,
            schema.fingerprint.encode(),
            schema.text.encode(),
            None,
            lambda error: failed.append(error) if error is not None else None,
        )
        # A real writer submits nothing with a schema that is not in the log.
        written = producer.flush(WRITTEN_S) == 0 and not failed
        producer.close()
        if not written:
            raise Missed("its schema could not be written")
        field.submit_as(schema.encode, COUNT)
        return None

    def close(self) -> None:
        pass
