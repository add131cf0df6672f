//! From records to the JSON of `dto.rs`: words, units and times as people read them.

use super::dto;
use crate::heartbeats::Heard;
use crate::model::{SeenTask, SeenWorker};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloudai_core::duty::{Cordon, Duty, Probe};
use cloudai_core::ids::UserId;
use cloudai_core::resources::{Allocation, Capacity, Demand, Free, GIB, Kind, WHOLE};
use cloudai_core::spec::TaskSpec;
use cloudai_core::state::{Phase, Status};
use cloudai_core::strategy::Planned;
use cloudai_core::task::{AttemptRecord, LogCut, State, TaskRecord};
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_core::worker::{About, WorkerStatus};
use cloudai_proto::{EXEC, EXEC_OFF};
use cloudai_store::bulk::{LogRecord, LogStream};
use std::time::Duration;

/// A time as ISO 8601 in UTC with milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    let stamp = i64::try_from(at.as_millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", stamp.unwrap_or(jiff::Timestamp::MAX))
}

/// A task of a list.
pub(super) fn task(seen: &SeenTask) -> dto::Task {
    let record = &*seen.record;
    let end = record.finished();
    dto::Task {
        id: record.id.to_string(),
        name: record.spec.name.clone(),
        image: record.spec.image.clone(),
        user_id: record.owner.to_string(),
        job_id: record.job.map(|job| job.to_string()),
        job_task: None,
        index: record.id.index(),
        array: None,
        status: record.status().word().into(),
        phase: seen.phase.map(|phase| phase.word().into()),
        reason: record.reason().map(|reason| reason.word().into()),
        message: seen.message.clone(),
        attempt: record.number(),
        exit_code: end.and_then(|end| end.exit_code),
        oom_killed: end.is_some_and(|end| end.oom_killed),
        dead: end.is_some_and(|end| end.dead),
        retry_of: record.retry_of.map(|id| id.to_string()),
        retried_by: None,
        warnings: end.map(|end| end.warnings.iter().map(|word| word.word().into()).collect()).unwrap_or_default(),
        worker_id: record.worker().map(ToString::to_string),
        priority: record.spec.priority,
        resources: demand(record.demand()),
        requests: choice(&record.spec),
        labels: record.spec.labels.clone(),
        created_at: time(record.created_at),
        started_at: record.started_at.map(time),
        finished_at: record.finished_at.map(time),
        starts_at: waits_until(record, Phase::WaitingStartTime),
        next_try_at: waits_until(record, Phase::Backoff),
        planned: seen.planned.as_ref().map(planned),
        deadline: record.deadline().map(time),
        estimate_s: record.spec.estimate.map(|estimate| estimate.as_secs_f64()),
        due_at: record.due_at().map(time),
        not_before: record.starts_at().map(time),
        version: record.version,
        attempts: record.attempts.iter().map(|one| attempt(record, one)).collect(),
        spec: None,
    }
}

/// A place in a plan.
pub(super) fn planned(planned: &Planned) -> dto::Planned {
    dto::Planned { worker_id: planned.worker.to_string(), at: time(planned.at) }
}

/// The end of a wait for a time, while the task is in that phase.
fn waits_until(record: &TaskRecord, phase: Phase) -> Option<String> {
    match &record.state {
        State::Queued(queued) if queued.phase == phase => queued.until.map(time),
        State::Queued(_) | State::Active(_) | State::Finished(_) => None,
    }
}

/// A task with the document that it was submitted as.
pub(super) fn whole_task(seen: &SeenTask) -> dto::Task {
    dto::Task { spec: serde_json::to_value(seen.record.spec.to_value()).ok(), ..task(seen) }
}

/// How many requests a task has, where it has several.
pub(super) fn choice(spec: &TaskSpec) -> Option<usize> {
    Some(spec.requests()).filter(|count| *count > 1)
}

fn attempt(task: &TaskRecord, record: &AttemptRecord) -> dto::Attempt {
    let end = record.end.as_ref();
    let status = match end {
        Some(end) => end.status,
        None if record.started_at.is_some() => Status::Running,
        None => Status::Pending,
    };
    // Of an attempt whose end nobody reported the count is unknown, not 0.
    let log = end.map(|end| end.log).filter(|log| log.is_settled() || log.records > 0);
    dto::Attempt {
        attempt: record.number,
        worker_id: record.worker.to_string(),
        request: choice(&task.spec).map(|_| u32::from(record.request) + 1),
        status: status.word().into(),
        reason: end.and_then(|end| end.reason).map(|reason| reason.word().into()),
        message: end.map(|end| end.message.clone()).unwrap_or_default(),
        exit_code: end.and_then(|end| end.exit_code),
        accepted: end.is_some_and(|end| end.accepted),
        assigned_at: time(record.assigned_at),
        started_at: record.started_at.map(time),
        ended_at: record.ended_at.map(time),
        log_records: log.map(|log| log.records),
        log_bytes: log.map(|log| log.bytes),
        log_cut: log.and_then(|log| log.cut).map(log_cut),
        usage: usage(record),
    }
}

/// What an attempt took; none of one of which nothing of that was kept.
fn usage(record: &AttemptRecord) -> Option<dto::Usage> {
    let end = record.end.as_ref();
    let used = end.map(|end| end.used).unwrap_or_default();
    let seconds = |time: Duration| time.as_secs_f64();
    let usage = dto::Usage {
        peak_memory_bytes: used.peak_memory,
        cpu_s: used.cpu.map(seconds),
        queue_s: record.waited.map(seconds),
        pull_s: used.pulled.map(seconds),
        run_s: end.and_then(|end| end.run).map(seconds),
    };
    (usage != dto::Usage::default()).then_some(usage)
}

fn log_cut(cut: LogCut) -> dto::LogCut {
    dto::LogCut { records: cut.records, bytes: cut.bytes }
}

/// Where a task stands at the end of the log of one of its attempts.
pub(super) fn log_end(seen: &SeenTask, number: Option<u32>) -> dto::LogState {
    let mut attempts = seen.record.attempts.iter();
    let ended = attempts.find(|attempt| Some(attempt.number) == number).and_then(|attempt| attempt.end.as_ref());
    dto::LogState { log_cut: ended.and_then(|end| end.log.cut).map(log_cut), ..log_state(seen) }
}

/// Where a followed task stands.
pub(super) fn log_state(seen: &SeenTask) -> dto::LogState {
    let record: &TaskRecord = &seen.record;
    dto::LogState {
        status: record.status().word().into(),
        phase: seen.phase.map(|phase| phase.word().into()),
        reason: record.reason().map(|reason| reason.word().into()),
        message: seen.message.clone(),
        attempt: record.number(),
        worker_id: record.worker().map(ToString::to_string),
        exit_code: record.finished().and_then(|end| end.exit_code),
        log_cut: None,
    }
}

/// A record of a log; its bytes as text where they are UTF-8.
pub(super) fn log_entry(attempt: u32, number: u64, record: &LogRecord) -> dto::LogEntry {
    let text = std::str::from_utf8(&record.data).ok();
    let time = jiff::Timestamp::from_nanosecond(i128::from(record.time_ns)).unwrap_or(jiff::Timestamp::MAX);
    dto::LogEntry {
        attempt,
        n: number,
        time: format!("{time:.9}"),
        stream: stream_word(record.stream).into(),
        text: text.map(ToOwned::to_owned),
        base64: text.is_none().then(|| STANDARD.encode(&record.data)),
    }
}

/// The word for a stream.
pub(super) const fn stream_word(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    }
}

/// A worker; `heard` is younger than what the store knows. Nobody is judged by silence that is longer than this
/// master is `up`.
pub(super) fn worker(seen: &SeenWorker, heard: Option<&Heard>, up: &Up) -> dto::Worker {
    let record = &*seen.record;
    let gpu = |gpu: &cloudai_core::resources::Gpu| dto::Gpu { id: gpu.id.to_string(), model: gpu.model.to_string() };
    dto::Worker {
        id: record.id.to_string(),
        status: record.status.word().into(),
        engine_away: record
            .unfit()
            .filter(|_| record.status == WorkerStatus::EngineAway)
            .map(|unfit| unfit.why().into()),
        disk_pressure: record
            .unfit()
            .filter(|_| record.status == WorkerStatus::DiskPressure)
            .map(|unfit| unfit.why().into()),
        duty: duty(&record.duty, !seen.held.is_empty()),
        address: record.address.clone(),
        capacity: capacity(&record.capacity),
        allocated: held(seen.held.iter().map(|(_, allocation)| allocation)),
        available: free(&seen.free),
        gpus: record.capacity.gpus.iter().map(gpu).collect(),
        tasks: seen.held.len(),
        labels: record.labels.clone(),
        operator_labels: record.operator_labels.clone(),
        offers: record.about.offers.iter().map(ToString::to_string).collect(),
        // Of many workers nobody reads them.
        images: Vec::new(),
        exec: runs_programs(&record.about),
        version: record.about.version.clone(),
        executor: record.about.executor.clone(),
        engine: record.about.engine.clone(),
        last_seen: last_heard(seen, heard).map(time),
        gives_up_at: gives_up_at(seen, heard, up).map(time),
        registered_at: time(record.registered_at),
    }
}

/// Whether programs may be run beside its tasks, where it has told what it can.
fn runs_programs(about: &About) -> Option<bool> {
    let has = |word: &str| about.capabilities.iter().any(|known| known == word);
    (!about.capabilities.is_empty()).then(|| has(EXEC) && !has(EXEC_OFF))
}

/// What keeps a worker from work; `holds` tells whether it holds any attempt.
fn duty(duty: &Duty, holds: bool) -> Option<dto::Duty> {
    let shown = |reason: &str, by: Option<&UserId>, since| dto::Duty {
        state: duty.word(holds).into(),
        reason: reason.into(),
        by: by.map(ToString::to_string),
        since: time(since),
        until: None,
        tries: None,
        next_probe: None,
        probe: None,
    };
    let of = |cordon: &Cordon| shown(&cordon.reason, Some(&cordon.by), cordon.since);
    match duty {
        Duty::Open => None,
        Duty::Cordoned(cordon) => Some(of(cordon)),
        Duty::Draining(drain) => Some(dto::Duty { until: drain.until.map(time), ..of(&drain.cordon) }),
        Duty::Quarantined(quarantine) => {
            let (next_probe, probe) = match &quarantine.probe {
                Probe::After(at) => (Some(time(*at)), None),
                Probe::Due => (None, None),
                Probe::Sent(attempt) | Probe::Runs(attempt, _) => (None, Some(attempt.task.to_string())),
            };
            let tries = Some(quarantine.tries);
            Some(dto::Duty { tries, next_probe, probe, ..shown(&quarantine.reason, None, quarantine.since) })
        }
    }
}

/// How long a master has been up, and the times by which it judges.
pub(super) struct Up {
    pub(super) now: Timestamp,
    pub(super) since: Timestamp,
    pub(super) timing: Timing,
}

fn gives_up_at(seen: &SeenWorker, heard: Option<&Heard>, up: &Up) -> Option<Timestamp> {
    if seen.record.status != WorkerStatus::Inactive || seen.lasting == seen.held.len() {
        return None;
    }
    let at = last_heard(seen, heard)?.max(up.since) + up.timing.lost_after();
    (at > up.now).then_some(at)
}

/// When a worker was last heard.
pub(super) fn last_heard(seen: &SeenWorker, heard: Option<&Heard>) -> Option<Timestamp> {
    heard.map(|heard| heard.at).max(seen.record.last_seen).max(seen.record.connected_at)
}

/// What a task asks for.
pub(super) fn demand(demand: &Demand) -> dto::Resources {
    resources(demand.cpu_milli, demand.memory, demand.storage, demand.gpu_milli)
}

/// What a worker offers.
pub(super) fn capacity(capacity: &Capacity) -> dto::Resources {
    resources(capacity.cpu_milli, capacity.memory, capacity.storage, capacity.amount(Kind::Gpu))
}

fn free(free: &Free) -> dto::Resources {
    resources(free.amount(Kind::Cpu), free.amount(Kind::Memory), free.amount(Kind::Storage), free.amount(Kind::Gpu))
}

/// The sum of allocations.
pub(super) fn held<'a>(allocations: impl IntoIterator<Item = &'a Allocation>) -> dto::Resources {
    let mut sum = [0u64; 4];
    for allocation in allocations {
        for (sum, kind) in sum.iter_mut().zip(Kind::ALL) {
            *sum = sum.saturating_add(allocation.amount(kind));
        }
    }
    resources(sum[0], sum[1], sum[2], sum[3])
}

/// The sum of capacities.
pub(super) fn offered<'a>(capacities: impl IntoIterator<Item = &'a Capacity>) -> dto::Resources {
    let mut sum = [0u64; 4];
    for capacity in capacities {
        for (sum, kind) in sum.iter_mut().zip(Kind::ALL) {
            *sum = sum.saturating_add(capacity.amount(kind));
        }
    }
    resources(sum[0], sum[1], sum[2], sum[3])
}

pub(super) fn resources(cpu_milli: u64, memory: u64, storage: u64, gpu_milli: u64) -> dto::Resources {
    dto::Resources {
        cpu_cores: part(cpu_milli, WHOLE),
        memory_gb: part(memory, GIB),
        storage_gb: part(storage, GIB),
        gpu_cores: part(gpu_milli, WHOLE),
    }
}

/// An integer amount in a larger unit.
#[allow(clippy::cast_precision_loss, reason = "for people; no amount of a cluster reaches 2^53 bytes by itself")]
pub(super) fn part(amount: u64, unit: u64) -> f64 {
    amount as f64 / unit as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cloudai_core::resources::MIB;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let rows = [(0, "1970-01-01T00:00:00.000Z"), (1_731_677_400_005, "2024-11-15T13:30:00.005Z")];
        for (millis, text) in rows {
            assert_eq!(time(Timestamp::from_millis(millis)), text);
        }
        assert!(time(Timestamp::from_millis(u64::MAX)).starts_with("9999-12-30"));
    }

    #[test]
    fn amounts_are_shown_in_cores_and_gib() {
        let all = resources(1500, GIB + 512 * MIB, 0, 250);
        let expected = dto::Resources { cpu_cores: 1.5, memory_gb: 1.5, storage_gb: 0.0, gpu_cores: 0.25 };
        assert_eq!(all, expected);
    }

    #[test]
    fn a_log_record_is_text_where_it_is_utf8_and_base64_elsewhere() {
        let record = |data: &'static [u8]| LogRecord {
            time_ns: 1_500_000_007,
            stream: LogStream::Stderr,
            data: Bytes::from_static(data),
        };
        let entry = log_entry(2, 7, &record(b"caf\xc3\xa9\n"));
        assert_eq!((entry.text.as_deref(), entry.base64), (Some("caf\u{e9}\n"), None));
        assert_eq!((entry.attempt, entry.n, entry.stream.as_str()), (2, 7, "stderr"));
        assert_eq!(entry.time, "1970-01-01T00:00:01.500000007Z");
        let entry = log_entry(1, 0, &record(b"\xff\x00"));
        assert_eq!((entry.text, entry.base64.as_deref()), (None, Some("/wA=")));
    }
}
