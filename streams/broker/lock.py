"""``python -m streams.broker.lock``: resolve the jars anew and write ``jars.lock``.

Run it when the Kafka version changes; everybody else downloads exactly what the lock names.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from streams.broker.jars import KAFKA_VERSION, LOCK, Jar, write_lock

# Each is resolved apart: in one resolution the logging bridge's managed versions win, and
# kafka-clients silently comes out as an older release.
ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",  # for slf4j-api 1.7; else no log at all
)


def resolve(repo_cache: Path) -> list[Jar]:
    """Every jar the roots need at run time, with size and sha256, in class path order."""
    jars: dict[str, Jar] = {}
    for root in ROOTS:
        context = MavenContext(repo_cache=repo_cache, timeout=60)
        inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
        for dependency in (*inputs, *transitive):
            if dependency.scope in (None, "compile", "runtime"):
                artifact = dependency.artifact
                path = artifact.resolve()
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
                jars.setdefault(artifact.filename, Jar(coordinate, path.stat().st_size, digest))
    assert f"kafka-clients-{KAFKA_VERSION}.jar" in jars, sorted(jars)
    names = [jar.coordinate.rsplit(":", 1)[0] for jar in jars.values()]
    assert len(set(names)) == len(names), "one artifact in two versions"
    return list(jars.values())


def main() -> None:
    with tempfile.TemporaryDirectory() as repo_cache:
        jars = resolve(Path(repo_cache))
    write_lock(LOCK, jars)
    print(f"{LOCK.name}: {len(jars)} jars", file=sys.stderr)


if __name__ == "__main__":
    main()
