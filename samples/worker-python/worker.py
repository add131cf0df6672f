#!/usr/bin/env python3
"""A worker of one's own: runs what a CloudAI master assigns as plain processes of this machine, without containers.

The stubs are generated from proto/ (see README.md) and must be on PYTHONPATH.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
import identity
from cloudai.v1 import master_worker_pb2 as pb
from cloudai.v1 import master_worker_pb2_grpc as api

GRACE = 10  # seconds that every attempt may take to end when the lease is nearly over


class Attempt:
    """One execution of a task: a process, its output, its result."""

    def __init__(self, worker, task):
        self.worker, self.task, self.incarnation = worker, task, worker.incarnation
        self.key = (task.task_id, task.attempt)
        self.stage, self.process, self.cause = pb.HELD_STAGE_ASSIGNED, None, None
        self.records, self.lock = [], threading.Lock()

    def held(self):
        return pb.TaskInfo(
            task_id=self.task.task_id, attempt=self.task.attempt, stage=self.stage, incarnation=self.incarnation
        )

    def stop(self, cause, kill_after_s):
        """SIGTERM now, SIGKILL later; an attempt that has not begun never begins."""
        with self.lock:
            if self.cause is not None or self.stage == pb.HELD_STAGE_ENDED:
                return
            self.cause = cause
            if self.process:
                self.signal(signal.SIGTERM)
                later = threading.Timer(kill_after_s, self.signal, [signal.SIGKILL])
                later.daemon = True
                later.start()

    def signal(self, number):
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def run(self):
        """To its end; then its log and its result are with the master."""
        result = self.execute()
        self.stage = pb.HELD_STAGE_ENDED
        result.log_complete = bool(self.worker.until_taken(self.send_log))
        result.log_records = len(self.records)
        result.log_bytes = sum(len(record.data) for record in self.records)
        self.worker.until_taken(lambda: not self.worker.ask("ReportTaskCompletion", result).again)
        self.worker.forget(self)

    def execute(self):
        result = pb.TaskResult(
            task_id=self.task.task_id, attempt=self.task.attempt, worker_id=self.worker.id, incarnation=self.incarnation
        )
        begin = time.monotonic()
        try:
            spec = json.loads(self.task.spec_json)
            words = [word for field in ("entrypoint", "command", "args") for word in spec.get(field) or []]
            if self.begin(words or ["true"], spec.get("env") or {}):
                result.exit_code = self.wait(spec.get("timeout_s"))
                result.run_ms = int((time.monotonic() - begin) * 1000)
        except (FileNotFoundError, PermissionError) as error:
            result.exit_code, result.run_ms, result.message = 127, 0, f"this machine has no such program: {error}"
        except (ValueError, OSError) as error:
            self.cause, result.message = pb.CAUSE_START_ERROR, f"{error}"
        result.cause = pb.CAUSE_EXITED if self.cause is None else self.cause
        ended_well = result.cause == pb.CAUSE_EXITED and result.exit_code == 0
        result.status = "completed" if ended_well else "failed"
        result.completed_at = int(time.time())
        return result

    def begin(self, words, env):
        names = {"PATH": os.defpath, "CLOUDAI_TASK_ID": self.task.task_id, "CLOUDAI_WORKER_ID": self.worker.id}
        with self.lock:
            if self.cause is not None:
                return False
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                words, env={**names, **env}, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
            )
            self.stage = pb.HELD_STAGE_RUNNING
            return True

    def wait(self, timeout_s):
        readers = [threading.Thread(target=self.read, args=(pipe, pipe is self.process.stderr), daemon=True)
                   for pipe in (self.process.stdout, self.process.stderr)]
        for reader in readers:
            reader.start()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop(pb.CAUSE_TIMED_OUT, GRACE)
            self.process.wait()
        for reader in readers:
            reader.join()
        code = self.process.returncode
        return code if code >= 0 else 128 - code

    def read(self, pipe, stderr):
        for line in pipe:
            self.records.append(pb.LogRecord(time_ns=time.time_ns(), stderr=stderr, data=line))

    def send_log(self):
        """What is kept already is left out: a call may have got through without its answer."""
        header = pb.LogHeader(task_id=self.task.task_id, attempt=self.task.attempt, incarnation=self.incarnation)
        first = self.worker.ask("StreamTaskLogs", iter([pb.LogChunk(header=header)])).records
        header.first_record = first
        chunks = [pb.LogChunk(header=header)]
        for at in range(first, len(self.records), 1000):
            chunks.append(pb.LogChunk(records=pb.LogRecords(records=self.records[at:at + 1000])))
        self.worker.ask("StreamTaskLogs", iter(chunks), timeout=60)
        return True


class Worker:
    """The session with the master, and everything that is held."""

    def __init__(self, given, me):
        self.id, self.given, self.me = given.id, given, me
        self.lock, self.found, self.address = threading.RLock(), threading.Event(), None
        self.session = self.term = self.seen = self.incarnation = 0
        self.attempts, self.over = {}, set()
        self.leaving, self.renewed, self.own_address = False, time.monotonic(), ""

    def follow(self, address):
        with self.lock:
            if address != self.address:
                self.address, self.master = address, api.MasterServiceStub(self.me.channel(address))
            self.found.set()

    def ask(self, call, message, timeout=10):
        """Calls the master."""
        return getattr(self.master, call)(message, timeout=timeout, metadata=self.me.metadata)

    def register(self):
        given = self.given
        with self.lock:
            held = [attempt.held() for attempt in self.attempts.values()]
        info = pb.WorkerInfo(
            worker_id=self.id, worker_ip=self.own_address, total_cpu=given.cpus, total_memory=given.mem_gb,
            total_storage=given.disk_gb, protocol=1, version="sample", executor="processes", os=sys.platform, held=held,
            delivery=pb.DELIVERY_PUSH if given.push else pb.DELIVERY_SUBSCRIBE,
        )
        ack = self.until_taken(lambda: self.ask("RegisterWorker", info))
        if not ack:
            sys.exit("error: the master does not let this worker in")
        if given.push and "push" not in ack.capabilities:
            sys.exit("error: this master brings no commands to workers; start without --push")
        with self.lock:
            self.session, self.term, self.incarnation, self.seen = ack.session, ack.term, ack.incarnation, 0
            # Starts of earlier sessions can not come any more.
            self.over.clear()
            self.renewed = time.monotonic()
        print(f"registered, session {ack.session}", flush=True)
        return ack

    def take(self, batch):
        """Commands count in the present session, under no older term, each once; answers why they do not."""
        with self.lock:
            if batch.session != self.session or batch.term < self.term:
                return f"it is not in session {batch.session} under term {batch.term}"
            self.term = batch.term
            for command in batch.commands:
                if command.seq > self.seen:
                    self.seen = command.seq
                    if command.HasField("start"):
                        self.start(command.start)
                    elif command.HasField("stop"):
                        self.stop(command.stop)
        return ""

    def start(self, task):
        key = (task.task_id, task.attempt)
        if key not in self.attempts and key not in self.over and not self.leaving:
            attempt = self.attempts[key] = Attempt(self, task)
            threading.Thread(target=attempt.run, daemon=True).start()

    def stop(self, order):
        key = (order.task_id, order.attempt)
        if key in self.attempts:
            self.attempts[key].stop(pb.CAUSE_STOPPED, order.kill_after_ms / 1000)
        else:
            self.over.add(key)

    def stop_all(self, cause):
        with self.lock:
            for attempt in self.attempts.values():
                attempt.stop(cause, GRACE)

    def forget(self, attempt):
        """Its end is with the master: it never begins again."""
        with self.lock:
            del self.attempts[attempt.key]
            self.over.add(attempt.key)
        print(f"{attempt.task.task_id} ended", flush=True)

    def until_taken(self, call):
        """Tries until the master answers; a refusal for good is told once."""
        while True:
            try:
                answer = call()
                if answer:
                    return answer
            except grpc.RpcError as error:
                code = error.code()
                if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED,
                            grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION,
                            grpc.StatusCode.ALREADY_EXISTS):
                    print(f"refused: {error.details()}", file=sys.stderr, flush=True)
                    return None
            time.sleep(0.5)

    def beat(self, ack):
        """One heartbeat; answers whether the session goes on."""
        with self.lock:
            held = [attempt.held() for attempt in self.attempts.values()]
            beat = pb.Heartbeat(worker_id=self.id, session=self.session, seen_command=self.seen, running_tasks=held,
                                timestamp=int(time.time()), draining=self.leaving)
        sent_at = time.monotonic()
        try:
            answer = self.ask("SendHeartbeat", beat)
            if answer.register_again:
                return False
            self.renewed = sent_at
        except grpc.RpcError as error:
            print(f"no heartbeat: {error.details()}", file=sys.stderr, flush=True)
        # Without a master others may run this soon.
        if time.monotonic() - self.renewed > (ack.lease_ms - ack.margin_ms) / 1000 - GRACE:
            self.stop_all(pb.CAUSE_LEASE_ENDED)
        return True

    def subscribe(self, session):
        """Hears commands for as long as the session lasts."""
        while session == self.session:
            try:
                request = pb.SubscribeRequest(worker_id=self.id, session=session)
                for batch in self.ask("Subscribe", request, timeout=None):
                    self.take(batch)
            except grpc.RpcError:
                pass
            time.sleep(0.5)

    def run(self):
        if not self.found.is_set():
            print("waiting to be called by a master", flush=True)
        self.found.wait()
        while True:
            ack = self.register()
            if not self.given.push:
                threading.Thread(target=self.subscribe, args=(ack.session,), daemon=True).start()
            while self.beat(ack):
                if self.me.renew(self.master):
                    self.master = api.MasterServiceStub(self.me.channel(self.address))
                if self.leaving:
                    self.stop_all(pb.CAUSE_WORKER_STOPPED)
                    if not self.attempts:
                        return
                time.sleep(ack.heartbeat_ms / 1000)

    def leave(self, *_):
        self.leaving = True


class Door(api.WorkerServiceServicer):
    """Where the master calls: it brings commands (--push), and says where it is to a worker that waits for that."""

    def __init__(self, worker):
        self.worker = worker

    def check(self, context, worker_id):
        """Nobody else than a master of this cluster is heard: what it brings is run."""
        if not self.worker.me.is_master(context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "only a master of this worker's cluster may call it")
        return "" if worker_id == self.worker.id else f"this is worker {self.worker.id}"

    def deliver(self, context, batch):
        why = self.check(context, batch.worker_id) or self.worker.take(batch)
        return pb.TaskAck(success=not why, message=why)

    def alone(self, context, place, **what):
        command = pb.Command(seq=place.seq, **what)
        batch = pb.CommandBatch(
            worker_id=place.worker_id, session=place.session, term=place.term, commands=[command]
        )
        return self.deliver(context, batch)

    def AssignTask(self, task, context):
        return self.alone(context, task.place, start=task)

    def CancelTask(self, stop, context):
        order = pb.StopTask(task_id=stop.task_id, attempt=stop.attempt, kill_after_ms=stop.kill_after_ms)
        return self.alone(context, stop.place, stop=order)

    def DeliverCommands(self, batch, context):
        return self.deliver(context, batch)

    def AnnounceMaster(self, told, context):
        why = self.check(context, told.worker_id)
        if not why:
            self.worker.follow(told.addresses[0])
        return pb.AnnounceAck(success=not why, message=why)


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--id", default="python-1", help="its name")
    flags.add_argument("--master", help="the master's gRPC address; without it the worker waits to be called")
    flags.add_argument("--push", action="store_true", help="the master brings commands; else the worker subscribes")
    flags.add_argument("--listen", default="127.0.0.1:50052", help="where the master calls it; port 0 takes a free one")
    flags.add_argument("--cpus", type=float, default=1.0)
    flags.add_argument("--mem-gb", type=float, default=1.0)
    flags.add_argument("--disk-gb", type=float, default=10.0)
    flags.add_argument("--data-dir", default=".worker-python", help="where its key and its certificate are")
    given = flags.parse_args()
    folder = os.path.join(given.data_dir, given.id)
    me = identity.of(given.id, folder, os.environ.get("CLOUDAI_JOIN_TOKEN", ""))
    me.join(given.master)
    worker = Worker(given, me)
    signal.signal(signal.SIGTERM, worker.leave)
    if given.push or not given.master:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        api.add_WorkerServiceServicer_to_server(Door(worker), server)
        port = me.listen(server, given.listen)
        worker.own_address = f"{given.listen.rsplit(':', 1)[0]}:{port}"
        server.start()
        print(f"listening on {worker.own_address}", flush=True)
    if given.master:
        worker.follow(given.master)
    worker.run()
    try:
        worker.ask("LeaveCluster", pb.LeaveRequest(worker_id=worker.id, session=worker.session))
    except grpc.RpcError as error:
        print(f"left without a word: {error.details()}", file=sys.stderr)


if __name__ == "__main__":
    main()
