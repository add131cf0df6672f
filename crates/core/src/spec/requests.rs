//! What a task may use: amounts, or several requests of such, of which the first that fits anywhere is taken.

use super::Value;
use super::read::{Form, Reader, TIB};
use crate::resources::{Demand, GIB, MIB, WHOLE};

/// The fields of a request, which are those of a task.
pub(super) const OF_REQUEST: [&str; 5] = ["cpu_cores", "memory_gb", "storage_gb", "gpu_cores", "gpu_model"];
/// One alone needs no list.
pub(super) const LEAST: u8 = 2;
/// The most requests of a task: a strategy may look at all workers for each.
pub(super) const MOST: u8 = 8;
const EXPECTED: &str = "must be a list of requests, as [{\"gpu_cores\": 1}, {\"cpu_cores\": 8}]";
const NO_DEVICE: &str = "needs gpu_cores above 0";

/// Reads what a task asks for, and what else it would take instead, in order. What a request leaves out is what the
/// task says beside it.
pub(super) fn read(task: &mut Reader<'_>) -> (Demand, Vec<Demand>) {
    let unsaid = Demand { cpu_milli: WHOLE, memory: GIB / 2, storage: GIB, gpu_milli: 0, gpu_model: None };
    let own = amounts(task, &unsaid);
    let Some(value) = task.get("requests") else {
        if own.gpu_milli == 0 && own.gpu_model.is_some() {
            task.wrong("gpu_model", NO_DEVICE);
        }
        return (own, Vec::new());
    };
    let errors = task.errors.len();
    if let Value::List(items) = value
        && items.len() < usize::from(LEAST)
    {
        task.wrong("requests", "has fewer than 2 entries: give one alone as cpu_cores, memory_gb and so on");
    }
    let mut all = Vec::new();
    for (index, mut reader) in task.maps("requests", MOST.into(), EXPECTED, &OF_REQUEST) {
        let mut demand = amounts(&mut reader, &own);
        if demand.gpu_milli == 0 {
            if reader.get("gpu_model").is_some() {
                reader.wrong("gpu_model", NO_DEVICE);
            }
            demand.gpu_model = None;
        }
        task.take_errors(&format!("requests[{index}]"), reader);
        all.push(demand);
    }
    if task.errors.len() == errors {
        name_twins(task, &all);
        if own.gpu_model.is_some() && all.iter().all(|demand| demand.gpu_milli == 0) {
            task.wrong("gpu_model", NO_DEVICE);
        }
    }
    let mut all = all.into_iter();
    // Without a first one there is an error.
    (all.next().unwrap_or(own), all.collect())
}

fn amounts(reader: &mut Reader<'_>, unsaid: &Demand) -> Demand {
    let demand = Demand {
        cpu_milli: reader.amount("cpu_cores", unsaid.cpu_milli, WHOLE, 1..=4096 * WHOLE, "0.001 to 4096 cores"),
        memory: reader.amount("memory_gb", unsaid.memory, GIB, 6 * MIB..=64 * TIB, "6 MiB to 64 TiB, in GiB"),
        storage: reader.amount("storage_gb", unsaid.storage, GIB, 0..=1024 * TIB, "0 to 1 PiB, in GiB"),
        gpu_milli: reader.amount("gpu_cores", unsaid.gpu_milli, WHOLE, 0..=1024 * WHOLE, "0 to 1024 devices"),
        gpu_model: reader.text("gpu_model", 100, Form::Line).map(Into::into).or_else(|| unsaid.gpu_model.clone()),
    };
    let is_said = reader.get("gpu_cores").is_some();
    if is_said && demand.gpu_milli > WHOLE && !demand.gpu_milli.is_multiple_of(WHOLE) {
        reader.wrong("gpu_cores", "takes whole devices above 1: a fraction shares one device, as 0.5");
    }
    demand
}

/// Of two that ask for the same the second would never be taken.
fn name_twins(task: &mut Reader<'_>, all: &[Demand]) {
    for (later, demand) in all.iter().enumerate() {
        if let Some(first) = all.iter().take(later).position(|before| before == demand) {
            let problem = format!("asks for the same as requests[{first}]: leave one of them out");
            task.error(format!("requests[{later}]"), None, problem);
        }
    }
}

/// The document that [`read`] reads back: each request with all that it asks for.
pub(super) fn write<'a>(requests: impl Iterator<Item = &'a Demand>, decimal: fn(u64, u64) -> Value) -> Value {
    let map = |demand: &Demand| {
        let mut fields = vec![
            ("cpu_cores".to_owned(), decimal(demand.cpu_milli, WHOLE)),
            ("memory_gb".to_owned(), decimal(demand.memory, GIB)),
            ("storage_gb".to_owned(), decimal(demand.storage, GIB)),
            ("gpu_cores".to_owned(), decimal(demand.gpu_milli, WHOLE)),
        ];
        let model = demand.gpu_model.as_ref();
        fields.extend(model.map(|model| ("gpu_model".to_owned(), Value::Text(model.to_string()))));
        Value::Map(fields)
    };
    Value::List(requests.map(map).collect())
}

/// Takes an amount out of every request of a document that was written, so that the one that is said beside them holds
/// for each; what asks for no GPU goes on to ask for none.
pub(super) fn unsay(requests: &mut Value, name: &str) {
    let Value::List(requests) = requests else { return };
    let is_none = |value: &Value| *value == Value::Float(0.0);
    for request in requests {
        if let Value::Map(fields) = request {
            fields.retain(|(field, value)| field != name || name == "gpu_cores" && is_none(value));
        }
    }
}

/// Bytes of these requests, about.
pub(super) fn weight(requests: &[Demand]) -> usize {
    requests.iter().map(|demand| 90 + demand.gpu_model.as_ref().map_or(0, |model| model.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::super::{SpecError, TaskSpec};
    use super::*;

    fn read(fields: &str) -> Result<TaskSpec, SpecError> {
        TaskSpec::from_value(&serde_json::from_str(&format!("{{\"image\": \"a\", {fields}}}")).unwrap())
    }

    #[test]
    fn a_request_has_what_the_task_says_where_it_says_nothing_itself() {
        let fields = r#""memory_gb": 4, "gpu_model": "a100", "requests": [{"gpu_cores": 1, "memory_gb": 8}, {"cpu_cores": 8},
            {"gpu_cores": 0.5, "gpu_model": "t4", "storage_gb": 0}]"#;
        let spec = read(fields).unwrap();
        let of = |cpu_milli, memory, storage, gpu_milli, model: Option<&str>| Demand {
            cpu_milli,
            memory: memory * GIB,
            storage: storage * GIB,
            gpu_milli,
            gpu_model: model.map(Into::into),
        };
        let expected = [of(1000, 8, 1, 1000, Some("a100")), of(8000, 4, 1, 0, None), of(1000, 4, 0, 500, Some("t4"))];
        assert_eq!(spec.demands().cloned().collect::<Vec<_>>(), expected);
        assert_eq!((&spec.demand, spec.requests()), (&expected[0], 3));
        assert_eq!((spec.request(2), spec.request(3)), (&expected[2], &expected[0]));
    }

    #[test]
    fn requests_are_written_back_and_no_worker_is_told_of_them() {
        // The second is of any model, which the task's own would not let it be.
        for fields in [
            r#""requests": [{"gpu_cores": 1, "gpu_model": "a100"}, {"gpu_cores": 1}, {"cpu_cores": 0.001}]"#,
            r#""gpu_cores": 2, "requests": [{"gpu_cores": 0, "memory_gb": 0.3}, {"gpu_model": "t4"}]"#,
        ] {
            let spec = read(fields).unwrap();
            assert_eq!(TaskSpec::from_value(&spec.to_value()), Ok(spec.clone()), "{fields}");
            let stored = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<TaskSpec>(&stored).unwrap(), spec);
            let told = TaskSpec::from_value(&spec.for_worker()).unwrap();
            assert_eq!((&told.demand, told.alternatives.len()), (&spec.demand, 0), "{fields}");
        }
        let plain = read(r#""cpu_cores": 2"#).unwrap();
        let stored = serde_json::to_string(&plain).unwrap();
        let written = serde_json::to_string(&plain.to_value()).unwrap();
        assert!(!stored.contains("alternatives") && !written.contains("requests"), "{stored} {written}");
    }

    #[test]
    fn an_amount_that_was_written_as_a_decimal_is_read_as_the_same_bytes() {
        // A reader of JSON may take the last digit of such a number for another one.
        for (decimal, bytes) in [("25904.016592129134", 27_814_226_024_559), ("7.300000000745058", 7_838_315_316)] {
            assert_eq!(read(&format!("\"memory_gb\": {decimal}")).unwrap().demand.memory, bytes, "{decimal}");
        }
        assert_eq!(read("\"memory_gb\": 7.3").unwrap().demand.memory, 7_838_315_316, "rounded up");
    }

    #[test]
    fn every_wrong_request_is_named() {
        let rows = [
            (r#""requests": {"cpu_cores": 1}"#, "requests", "must be a list of requests"),
            (r#""requests": []"#, "requests", "fewer than 2"),
            (r#""requests": [{"cpu_cores": 1}]"#, "requests", "fewer than 2"),
            (r#""requests": [{}, 7]"#, "requests[1]", "must be a map"),
            (r#""requests": [{}, {"image": "b"}]"#, "requests[1].image", "no field of requests"),
            (r#""requests": [{}, {"cpu_cores": 0}]"#, "requests[1].cpu_cores", "out of range"),
            (r#""requests": [{}, {"gpu_cores": 1.5}]"#, "requests[1].gpu_cores", "whole devices"),
            (r#""requests": [{}, {"gpu_model": "t4"}]"#, "requests[1].gpu_model", "needs gpu_cores"),
            (r#""gpu_model": "t4", "requests": [{}, {"cpu_cores": 2}]"#, "gpu_model", "needs gpu_cores"),
            (r#""gpu_cores": 1.5, "requests": [{}, {"cpu_cores": 2}]"#, "gpu_cores", "whole devices"),
            (
                r#""requests": [{"gpu_cores": 1}, {"cpu_cores": 8}, {"cpu_cores": 1, "gpu_cores": 1}]"#,
                "requests[2]",
                "the same as requests[0]",
            ),
        ];
        for (fields, path, said) in rows {
            let SpecError(errors) = read(fields).unwrap_err();
            let found = errors.iter().find(|error| error.path == path);
            assert!(found.is_some_and(|error| error.problem.contains(said)), "{fields}: {errors:?}");
            assert_eq!(errors.len(), 1, "{fields}: {errors:?}");
        }
        let of = |count: usize| {
            let entries: Vec<_> = (1..=count).map(|cores| serde_json::json!({"cpu_cores": cores})).collect();
            read(&format!("\"requests\": {}", serde_json::json!(entries)))
        };
        assert!(of(8).is_ok());
        assert!(of(9).unwrap_err().to_string().contains("more than 8"));
    }
}
