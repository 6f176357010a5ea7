"""One adapter per peer: its app, and ``python -m bench.peers.NAME N``, which submits N tasks.

Adapters use the public interface of their system alone, with the settings that gave the most
tasks per second at the guarantee that the table states. They run in an environment of their own
(``bench/requirements.lock``), without this project's package. ``BENCH_URL`` says where the
store is.
"""
