//! What each strategy is good for, in a sentence.

/// What a strategy is good for, one sentence for whoever has to choose; none of one that is not known.
#[must_use]
pub fn about(name: &str) -> Option<&'static str> {
    Some(match name {
        "greedy" => "Gives the oldest task the first worker with room, and waits with all others until it has one.",
        "round_robin" => "Gives tasks to the workers in turn, oldest first, and waits while the oldest has no room.",
        "balanced" => "Gives the oldest task the least loaded worker, and waits with all others until it has one.",
        "greedy_skip" => "As greedy, but passes over tasks that have no room now: large ones may wait for long.",
        "round_robin_skip" => "As round_robin, but passes over tasks that have no room now.",
        "balanced_skip" => "As balanced, but passes over tasks that have no room now.",
        "ai_multi_objective" => "Another name of ai.",
        "ai" => {
            "Weighs utilization, early ends, even load and waiting, and fills gaps behind a reservation: for most clusters."
        }
        "ai_aggressive" => {
            "Packs as tightly as it can, large tasks first, small ones into the gaps: for full clusters."
        }
        "ai_predictive" => {
            "Plans with predicted run times, deadlines and critical paths of jobs for the earliest end of everything."
        }
        "ai_load_balanced" => "Keeps the load of all workers even, and fills gaps behind a reservation.",
        "external" => "Lets a program of yours place (samples/agent-python); another strategy does while it is silent.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::names;

    #[test]
    fn every_strategy_says_what_it_is_good_for() {
        for name in names() {
            let about = about(name).unwrap_or_else(|| panic!("say in about.rs what {name} is good for"));
            assert!(about.ends_with('.') && !about.contains('\n'), "{name}: {about}");
        }
        assert_eq!(about("best"), None);
    }
}
