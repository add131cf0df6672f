//! What really ran, told by others than those who are judged: the journal of the fake executor and
//! the events of the container engine.

use serde::Deserialize;
use serde_json::Value;

/// An attempt: its task's id and its number.
pub(crate) type Attempt = (String, u32);

/// Something that was seen, and when, in seconds since boot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mark {
    Start {
        t: f64,
        worker: String,
        attempt: Attempt,
    },
    End {
        t: f64,
        attempt: Attempt,
        exit: i32,
    },
    /// Everything that ran on a worker ended with it.
    Killed {
        t: f64,
        worker: String,
    },
}

impl Mark {
    pub(crate) const fn t(&self) -> f64 {
        match self {
            Self::Start { t, .. } | Self::End { t, .. } | Self::Killed { t, .. } => *t,
        }
    }
}

/// Marks in the order of their times; of one time in the order in which they were told.
pub(crate) fn in_order(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.sort_by(|one, other| one.t().total_cmp(&other.t()));
    marks
}

#[derive(Deserialize)]
struct Line {
    task: String,
    attempt: u32,
    event: String,
    t: f64,
    worker: String,
    exit: Option<i32>,
}

/// The fake executor's journal. Its containers are gone with their worker, which it can not tell.
pub(crate) fn fake(journal: &str) -> Vec<Mark> {
    let mark = |line: &str| {
        let Line { task, attempt, event, t, worker, exit } = serde_json::from_str(line).unwrap();
        let attempt = (task, attempt);
        match (event.as_str(), exit) {
            ("start", None) => Mark::Start { t, worker, attempt },
            ("end", Some(exit)) => Mark::End { t, attempt, exit },
            _ => panic!("not a line of the fake journal: {line}"),
        }
    };
    journal.lines().map(mark).collect()
}

/// Events of a Docker engine, one JSON object a line; a line that is still being written is left out.
pub(crate) fn engine(events: &str, boot: f64) -> Vec<Mark> {
    let whole = events.rfind('\n').map_or("", |end| &events[..end]);
    whole.lines().filter_map(|line| engine_event(&serde_json::from_str(line).unwrap(), boot)).collect()
}

fn engine_event(event: &Value, boot: f64) -> Option<Mark> {
    let of = |name: &str| event["Actor"]["Attributes"][name].as_str().map(ToOwned::to_owned);
    let t = event["timeNano"].as_f64()? / 1e9 - boot;
    let attempt = (of("cloudai.task")?, of("cloudai.attempt")?.parse().ok()?);
    match event["Action"].as_str()? {
        "start" => Some(Mark::Start { t, worker: of("cloudai.worker")?, attempt }),
        "die" => Some(Mark::End { t, attempt, exit: of("exitCode")?.parse().ok()? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        ("task-1".into(), 2)
    }

    #[test]
    fn the_fake_journal_is_read() {
        let text = concat!(
            r#"{"task":"task-1","attempt":2,"event":"start","t":1.5,"worker":"w1","cpu":1.0,"mem_gb":2.0,"exit":null}"#,
            "\n",
            r#"{"task":"task-1","attempt":2,"event":"end","t":2.5,"worker":"w1","cpu":1.0,"mem_gb":2.0,"exit":7}"#,
            "\n"
        );
        let start = Mark::Start { t: 1.5, worker: "w1".into(), attempt: attempt() };
        assert_eq!(fake(text), [start, Mark::End { t: 2.5, attempt: attempt(), exit: 7 }]);
    }

    #[test]
    fn events_of_an_engine_are_read_and_what_is_no_run_is_left_out() {
        let line = |action: &str| {
            let labels = r#""cloudai.task":"task-1","cloudai.attempt":"2","cloudai.worker":"w1","exitCode":"137""#;
            format!("{{\"Action\":\"{action}\",\"Actor\":{{\"Attributes\":{{{labels}}}}},\"timeNano\":12000000000}}\n")
        };
        let text = [line("create"), line("start"), line("die"), "{\"Action\":\"di".into()].concat();
        let start = Mark::Start { t: 2.0, worker: "w1".into(), attempt: attempt() };
        assert_eq!(engine(&text, 10.0), [start, Mark::End { t: 2.0, attempt: attempt(), exit: 137 }]);
    }
}
