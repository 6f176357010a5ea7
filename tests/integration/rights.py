"""A broker that asks who is there: users, what each may do, and taking one right away."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from streams.kafka.log import KafkaLog
from streams.settings import Settings
from streams.topics import Topics

ADMIN, WORKER, CLIENT = "admin", "worker", "client"
READER = "reader"
"""Whoever has been given WRITE on a topic once gets a producer id: this one never is."""
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_PASSWORDS = " ".join(f'user_{user}="{user}-secret"' for user in (ADMIN, WORKER, CLIENT, READER))

GUARDED = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    # The controller's listener knows no users; it is reached by the broker alone.
    "super.users": f"User:{ADMIN};User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "false",
    "listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": (
        f'{_LOGIN} username="{ADMIN}" password="{ADMIN}-secret" {_PASSWORDS};'
    ),
    # Whoever may create topics creates them by asking, unless the client asks otherwise.
    "auto.create.topics.enable": "true",
}
"""Settings of a broker whose clients say who they are (SASL), and that checks their rights."""


class Right(NamedTuple):
    """What a user may do with a resource; a name that ends in ``*`` is the start of names."""

    operation: str
    resource: str
    name: str


def as_user(user: str) -> dict[str, str]:
    """The client's properties of this user."""
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": f"{user}-secret",
    }


class Deployment:
    """Names of its own (a prefix) on the guarded broker, and the rights that users have there."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.topics = Topics(prefix)
        settings = {"bootstrap.servers": bootstrap, "log_level": 0, **as_user(ADMIN)}
        self._admin: Any = AdminClient(settings)

    def settings(self, user: str) -> Settings:
        """What a worker or client of this user is made with."""
        return Settings(self.bootstrap, self.topics.prefix, as_user(user))

    def log(self, user: str) -> KafkaLog:
        """The log as this user sees it."""
        return KafkaLog(self.bootstrap, as_user(user))

    def env(self, user: str) -> dict[str, str]:
        """The environment of a command that this user types."""
        properties = {
            f"STREAMS_KAFKA_{name.upper().replace('.', '_')}": value
            for name, value in as_user(user).items()
        }
        return {
            "STREAMS_BOOTSTRAP": self.bootstrap,
            "STREAMS_PREFIX": self.topics.prefix,
            "NO_COLOR": "1",
            **properties,
        }

    def allow(self, user: str, rights: Iterable[Right]) -> None:
        """Give rights."""
        bindings = [
            AclBinding(*_pattern(right), f"User:{user}", "*", *_grant(right)) for right in rights
        ]
        for future in self._admin.create_acls(bindings).values():
            future.result(10)

    def delete(self, topic: str) -> None:
        """Delete a topic; returns when it is gone."""
        for future in self._admin.delete_topics([topic]).values():
            future.result(10)
        until = time.monotonic() + 10
        while topic in self.log(ADMIN).admin().topics():
            assert time.monotonic() < until, f"'{topic}' is still there"

    def take(self, user: str, right: Right) -> None:
        """Take one right away; it must have been given."""
        chosen = AclBindingFilter(*_pattern(right), f"User:{user}", "*", *_grant(right))
        (future,) = self._admin.delete_acls([chosen]).values()
        assert len(future.result(10)) == 1, right


def worker_rights(topics: Topics, agents: Iterable[str], others: Iterable[str]) -> list[Right]:
    """What SECURITY.md lists for a worker of ``agents`` that submit to themselves and others."""
    rights = [
        Right("READ", "topic", topics.agents),
        Right("READ", "topic", topics.schemas),
        Right("READ", "topic", topics.heartbeats),
        Right("WRITE", "topic", topics.agents),
        Right("WRITE", "topic", topics.schemas),
        Right("WRITE", "topic", topics.costs),
        Right("WRITE", "topic", topics.heartbeats),
    ]
    for agent in agents:
        rights += [
            Right("READ", "topic", topics.tasks(agent)),
            Right("READ", "topic", topics.results(agent)),
            Right("WRITE", "topic", topics.results(agent)),
            Right("WRITE", "topic", topics.dead(agent)),
            Right("READ", "group", topics.group(agent)),
            Right("WRITE", "transactional id", topics.transactional_id(agent, "*")),
        ]
    return rights + [Right("WRITE", "topic", topics.tasks(agent)) for agent in others]


def client_rights(topics: Topics, agent: str) -> list[Right]:
    """What SECURITY.md lists for a client that submits to ``agent``, ids of its own included."""
    return [
        Right("READ", "topic", topics.agents),
        Right("READ", "topic", topics.schemas),
        Right("WRITE", "topic", topics.tasks(agent)),
        Right("READ", "topic", topics.results(agent)),
        Right("READ", "topic", topics.tasks(agent)),
        Right("WRITE", "transactional id", f"{topics.group(agent)}.submit.*"),
    ]


def looking_rights(topics: Topics, agent: str) -> list[Right]:
    """What SECURITY.md lists for the commands that only look."""
    names = [topics.agents, topics.schemas, topics.heartbeats, topics.costs]
    names += [topics.tasks(agent), topics.results(agent), topics.dead(agent)]
    return [
        *(Right("READ", "topic", name) for name in names),
        Right("DESCRIBE", "group", topics.group(agent)),
    ]


def applying_rights(topics: Topics) -> list[Right]:
    """What SECURITY.md lists for ``topic apply``."""
    return [
        *(
            Right(operation, "topic", f"{topics.prefix}.*")
            for operation in ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS")
        ),
        *(
            Right(operation, "topic", name)
            for operation in ("READ", "WRITE")
            for name in (topics.agents, topics.schemas)
        ),
        Right("DESCRIBE_CONFIGS", "cluster", "kafka-cluster"),
    ]


def _pattern(right: Right) -> tuple[ResourceType, str, ResourcePatternType]:
    kinds = {
        "topic": ResourceType.TOPIC,
        "group": ResourceType.GROUP,
        "cluster": ResourceType.BROKER,
        "transactional id": ResourceType.TRANSACTIONAL_ID,
    }
    name = right.name.removesuffix("*")
    whole = name == right.name
    pattern = ResourcePatternType.LITERAL if whole else ResourcePatternType.PREFIXED
    return kinds[right.resource], name, pattern


def _grant(right: Right) -> tuple[AclOperation, AclPermissionType]:
    return AclOperation[right.operation], AclPermissionType.ALLOW
