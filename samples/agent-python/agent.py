#!/usr/bin/env python3
"""A scheduler from outside: follows a CloudAI master and places each task where it fits best.

The stubs are generated from proto/ (see README.md) and must be on PYTHONPATH.
"""
import argparse
import os
import sys

import grpc
from cloudai.v1 import master_agent_pb2 as pb
from cloudai.v1 import master_agent_pb2_grpc as api

MOST = 512  # proposals in one call


class Cluster:
    """What the master told so far."""

    def __init__(self):
        self.workers, self.waiting = {}, {}

    def take_in(self, update):
        self.workers.update((worker.worker_id, worker) for worker in update.workers)
        for worker in update.removed_workers:
            self.workers.pop(worker, None)
        for task in [*update.gone_tasks, *(task.task_id for task in update.placed)]:
            self.waiting.pop(task, None)
        # The master itself places tasks that are pinned to a worker.
        self.waiting.update((task.task_id, task) for task in update.waiting if not task.pinned_to)


def fits(task, worker, free):
    return worker.takes_work and all(
        getattr(free, field.name) >= getattr(task.demand, field.name) for field in free.DESCRIPTOR.fields
    )


def take(free, demand):
    for field in free.DESCRIPTOR.fields:
        setattr(free, field.name, getattr(free, field.name) - getattr(demand, field.name))


def best_fit(cluster):
    """Each task, most urgent first, goes to the worker that has the least left afterwards."""
    left = {}
    for name, worker in cluster.workers.items():
        left[name] = pb.Amounts()
        left[name].CopyFrom(worker.free)
    for task in sorted(cluster.waiting.values(), key=lambda task: (-task.priority, task.order)):
        rooms = [name for name, worker in cluster.workers.items() if fits(task, worker, left[name])]
        if rooms:
            name = min(rooms, key=lambda name: (left[name].cpu_milli, left[name].memory_bytes, name))
            take(left[name], task.demand)
            yield pb.Proposal(task_id=task.task_id, attempt=task.attempt, worker_id=name)


def propose(agents, headers, cluster):
    """Proposes what fits; what is refused is tried again when something changes. No proposal is a word, too."""
    proposals = list(best_fit(cluster))[:MOST]
    answer = agents.ProposePlacements(pb.Proposals(proposals=proposals), metadata=headers, timeout=30)
    for proposal, result in zip(proposals, answer.results):
        where = f"{proposal.task_id} {proposal.worker_id}"
        why = f"refused {pb.Refusal.Name(result.refusal)}: {result.message}"
        print(where, "accepted" if result.accepted else why, flush=True)
        if result.accepted:
            del cluster.waiting[proposal.task_id]


def run(agents, headers):
    """Follows the cluster until the stream ends."""
    cluster = Cluster()
    for update in agents.WatchCluster(pb.WatchRequest(agent="agent-python"), metadata=headers):
        cluster.take_in(update)
        if not update.more:
            propose(agents, headers, cluster)


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--master", default="127.0.0.1:50051", help="the master's gRPC address")
    given = flags.parse_args()
    token = os.environ.get("CLOUDAI_JOIN_TOKEN") or sys.exit("error: set CLOUDAI_JOIN_TOKEN (cloudai worker token)")
    headers = (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(given.master) as channel:
        agents = api.AgentServiceStub(channel)
        while True:
            try:
                run(agents, headers)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE):
                    sys.exit(f"error: {error.code().name}: {error.details()}")
                print(f"watching again: {error.details()}", file=sys.stderr, flush=True)
                grpc.channel_ready_future(channel).result()


if __name__ == "__main__":
    main()
