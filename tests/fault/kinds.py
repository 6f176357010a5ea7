"""Every kind of fault, and every scenario. A new one is added here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from .broker_faults import (
    KillBroker,
    KillGroupCoordinator,
    KillTransactionCoordinator,
    RestartBrokers,
    StopBroker,
)
from .disk import FullDisk
from .fault import Fault, Scenario
from .network_faults import network_faults
from .newer import NewerWriter
from .poison import PoisonScenario
from .scenarios import ChildTopicDeleted, OwnTopicDeleted, Retention, RightRevoked
from .versions import OlderVersion
from .worker_faults import (
    Churn,
    KillWorker,
    LoseWorker,
    RollingRestart,
    RollingRestartKeep,
    StopWorker,
    handlers,
)

CHURN_S = 60.0
CHURN_SHORT_S = 16.0


def faults(*, short: bool = False) -> list[Fault]:
    """One of each kind; with ``short`` those that last as long as one likes last shorter."""
    return [
        KillWorker(),
        LoseWorker(),
        StopWorker(),
        RollingRestart(),
        RollingRestartKeep(),
        Churn(CHURN_SHORT_S if short else CHURN_S),
        OlderVersion(),
        NewerWriter(),
        *handlers(),
        *network_faults(),
        KillBroker(),
        StopBroker(),
        RestartBrokers(),
        KillGroupCoordinator(),
        KillTransactionCoordinator(),
    ]


def scenarios() -> list[Scenario]:
    """One of each scenario."""
    return [
        PoisonScenario(),
        Retention(),
        ChildTopicDeleted(),
        OwnTopicDeleted(),
        RightRevoked(),
        FullDisk(1),
        FullDisk(3),
    ]


def shared_out(faults: Sequence[Fault]) -> dict[int, list[Fault]]:
    """The faults by size of cluster, each once: what makes sense in both goes to either in turn."""
    out: dict[int, list[Fault]] = {1: [], 3: []}
    for fault in faults:
        (only, *more) = sorted(fault.brokers)
        size = only if not more else min(out, key=lambda n: len(out[n]))
        out[size].append(fault)
    return out
