//! The order of a backlog of which lengths are known too badly for a plan.
//!
//! A plan for lengths that do not come true ends late: a long job stands last on some list. So those that are long
//! against the whole backlog go first, the largest before the others (longest processing time first; Graham, SIAM'69),
//! whatever waited too long before them, and all others behind, as rules say.

use super::board::Board;
use super::line::Key;
use super::rules::Rules;

/// The waiting jobs of a line in that order. Critical is what runs for at least so long, in milliseconds, with what
/// must follow it where that counts.
#[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
pub(super) fn order(
    board: &Board,
    rules: &Rules,
    line: impl Iterator<Item = (Key, usize)>,
    critical: f64,
) -> Vec<(Key, usize)> {
    let place = |(key, number): (Key, usize)| {
        let job = board.job(number);
        let length = rules.source.length(&job).mean as f64 + rules.tail(&job) as f64;
        if key.is_promoted() || length < critical {
            return (key, number);
        }
        let urgency = (rules.urgency * f64::from(job.priority)).exp2();
        (Key::critical(length * board.classes()[job.class].share.sqrt() * urgency, job.order), number)
    };
    let mut order: Vec<(Key, usize)> = line.map(place).collect();
    order.sort_unstable();
    order
}
