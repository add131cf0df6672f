//! `/api/v1/advice`: what tasks of a name took, and what the next should ask for.

use super::dto;
use super::dto::advice as shown;
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view::part;
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;
use cloudai_core::resources::{GIB, WHOLE};
use cloudai_core::sizing::{Advice, Proposal, Spread};

/// The most attempts of a name that count.
const MOST: u64 = 1000;
/// How many count when nothing is said.
const LAST: u64 = 200;
/// Of a thousand runs so many are to have enough when nothing is said.
const PERMILLE: u16 = 950;
/// Thousandths of a second, and of a whole.
const THOUSAND: u64 = 1000;

/// Advises on every name that begins so.
pub(super) async fn get(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<shown::Advice>, Problem> {
    let prefix = query.text("name_prefix");
    let last = query.whole("limit", 1..=MOST).unwrap_or(LAST);
    let permille = query.parsed("quantile", permille).unwrap_or(PERMILLE);
    query.close()?;
    let missing = "is missing: give the beginning of the names of the tasks";
    let prefix = prefix.ok_or_else(|| Problem::field("name_prefix", missing))?;
    let last = usize::try_from(last).unwrap_or(usize::MAX);
    let advice = handle.advice(&who, &prefix, last, permille).await?;
    let items = advice.iter().map(|(name, advice)| advised(name, advice)).collect();
    let list = dto::List { items, next_cursor: None };
    Ok(Json(shown::Advice { quantile: part(permille.into(), THOUSAND), list }))
}

/// A share in thousandths, from a half on: who wants less wants most runs to fail.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "500 to 1000")]
fn permille(text: &str) -> Result<u16, String> {
    let share: Option<f64> = text.parse().ok();
    let share = share.filter(|share| (0.5..=1.0).contains(share));
    share.map(|share| (share * 1000.0).round() as u16).ok_or_else(|| "takes 0.5 to 1".into())
}

fn advised(name: &str, advice: &Advice) -> shown::Advised {
    let share = |permille: u64| part(permille, THOUSAND);
    shown::Advised {
        name: name.to_owned(),
        attempts: advice.attempts,
        measured: advice.measured,
        oom_killed: advice.oom,
        requested: shown::Requested {
            cpu_cores: part(advice.asked_cpu, WHOLE),
            memory_gb: part(advice.asked_memory, GIB),
        },
        peak_memory_bytes: advice.memory.map(|spread| each(spread, |bytes| bytes)),
        cpu_cores: advice.cpu.map(|spread| each(spread, |milli| part(milli, WHOLE))),
        run_s: advice.run.map(|spread| each(spread, |millis| part(millis, THOUSAND))),
        wasted: shown::Wasted { cpu: advice.wasted_cpu.map(share), memory: advice.wasted_memory.map(share) },
        cpu_bound: advice.bound,
        proposed: advice.proposed.as_ref().map(proposed),
    }
}

fn each<T>(spread: Spread, show: impl Fn(u64) -> T) -> shown::Spread<T> {
    shown::Spread { p50: show(spread.middle), high: show(spread.high), max: show(spread.most) }
}

fn proposed(proposal: &Proposal) -> shown::Proposed {
    shown::Proposed {
        cpu_cores: part(proposal.cpu_milli, WHOLE),
        memory_gb: part(proposal.memory, GIB),
        timeout_s: proposal.timeout.map(|timeout| timeout.as_secs()),
        flags: proposal.flags(),
    }
}

#[cfg(test)]
mod tests {
    use super::permille;

    #[test]
    fn a_quantile_is_a_half_to_all() {
        for (text, expected) in [("0.95", 950), ("0.5", 500), ("1", 1000), ("0.9994", 999)] {
            assert_eq!(permille(text), Ok(expected), "{text}");
        }
        for bad in ["0.49", "1.1", "95", "-1", "NaN", "x", ""] {
            assert!(permille(bad).unwrap_err().contains("0.5 to 1"), "{bad}");
        }
    }
}
