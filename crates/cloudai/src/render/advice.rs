//! What tasks should ask for, for people: of each name what they took and what is proposed.

use super::Screen;
use super::quantity::{NOTHING, cores, count, duration, long_gigabytes};
use super::table::{Cell, Column, Table, printable};
use cloudai_core::resources::{Bytes, GIB};
use cloudai_core::sizing::LEAST;
use cloudai_master::http::dto::advice::{Advice, Advised, Proposed, Spread};
use std::time::Duration;

/// The answer of `task advise`: names apart by an empty line.
#[must_use]
pub(crate) fn cards(advice: &Advice, screen: &Screen) -> String {
    let cards: Vec<_> = advice.list.items.iter().map(|of| card(of, advice.quantile, screen)).collect();
    cards.join("\n\n")
}

fn card(of: &Advised, quantile: f64, screen: &Screen) -> String {
    let mut lines = vec![head(of)];
    lines.extend(table(of, screen).lines().map(|line| format!("  {line}")));
    lines.push(field("high", &format!("what {} of them did not exceed", percent(quantile))));
    if of.cpu_bound {
        lines.push(field("note", "most of them used all the cores that they asked for: with more they may be faster"));
    }
    match &of.proposed {
        Some(proposed) => {
            lines.extend(beyond(of, proposed).map(|note| field("note", &note)));
            lines.push(field("next", &format!("cloudai task submit IMAGE {}", proposed.flags)));
        }
        None => lines.push(field("note", &format!("too few to advise: it takes {LEAST} that were measured"))),
    }
    lines.join("\n")
}

fn field(title: &str, text: &str) -> String {
    format!("  {title:<5} {text}")
}

/// `train  42 attempts, 40 of them measured, 1 killed for its memory`.
fn head(of: &Advised) -> String {
    let number = |count_of: usize| count(count_of as u64);
    let word = if of.attempts == 1 { "attempt" } else { "attempts" };
    let mut head = format!("{}  {} {word}", printable(&of.name), number(of.attempts));
    if of.measured < of.attempts {
        head.push_str(&format!(", {} of them measured", number(of.measured)));
    }
    if of.oom_killed > 0 {
        head.push_str(&format!(", {} killed for memory", number(of.oom_killed)));
    }
    head
}

/// A row for memory, for cores and for the time.
fn table(of: &Advised, screen: &Screen) -> String {
    let mut table = Table::new(&[
        Column::text("", 0),
        Column::number("ASKED", 0),
        Column::number("HALF", 2),
        Column::number("HIGH", 0),
        Column::number("MOST", 1),
        Column::number("WASTED", 3),
        Column::number("PROPOSED", 0),
    ]);
    let proposed = |show: fn(&Proposed) -> Option<String>| of.proposed.as_ref().and_then(show);
    let wasted = |share: Option<f64>| share.map(percent);
    let memory = spread(of.peak_memory_bytes, |bytes| Bytes(bytes).to_string());
    let used = spread(of.cpu_cores, cores);
    let run = spread(of.run_s, time);
    let rows = [
        (
            "mem",
            Some(long_gigabytes(of.requested.memory_gb)),
            memory,
            wasted(of.wasted.memory),
            proposed(|of| Some(long_gigabytes(of.memory_gb))),
        ),
        (
            "cpu",
            Some(cores(of.requested.cpu_cores)),
            used,
            wasted(of.wasted.cpu),
            proposed(|of| Some(cores(of.cpu_cores))),
        ),
        ("run", None, run, None, proposed(|of| Some(duration(Duration::from_secs(of.timeout_s?))))),
    ];
    for (title, asked, [half, high, most], wasted, proposed) in rows {
        let cell = |text: Option<String>| Cell::from(text.unwrap_or_else(|| NOTHING.into()));
        table.row(vec![title.into(), cell(asked), cell(half), cell(high), cell(most), cell(wasted), cell(proposed)]);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

fn spread<T>(of: Option<Spread<T>>, show: impl Fn(T) -> String) -> [Option<String>; 3] {
    match of {
        Some(Spread { p50, high, max }) => [p50, high, max].map(|amount| Some(show(amount))),
        None => [None, None, None],
    }
}

fn time(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn percent(share: f64) -> String {
    format!("{} %", cores((share * 1000.0).round() / 10.0))
}

/// That some would not have had enough memory.
fn beyond(of: &Advised, proposed: &Proposed) -> Option<String> {
    let most = of.peak_memory_bytes?.max;
    let (needed, given) = (Bytes(most), long_gigabytes(proposed.memory_gb));
    let note = || format!("one of them needed {needed}, more than {given}: --quantile 1 is enough for all");
    (gigabytes(most) > proposed.memory_gb).then(note)
}

#[allow(clippy::cast_precision_loss, reason = "compared with an amount that was made so")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / GIB as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;
    use serde_json::{Value, json};

    fn shown(fields: &Value) -> String {
        let mut of = json!({
            "name": "train", "attempts": 42, "measured": 40, "oom_killed": 1,
            "requested": {"cpu_cores": 2.0, "memory_gb": 4.0},
            "peak_memory_bytes": {"p50": 966_367_642, "high": 1_288_490_189, "max": 1_395_864_372},
            "cpu_cores": {"p50": 0.3, "high": 0.55, "max": 0.9}, "run_s": {"p50": 20.5, "high": 35.0, "max": 41.0},
            "wasted": {"cpu": 0.785, "memory": 0.7}, "cpu_bound": false,
            "proposed": {"cpu_cores": 0.6, "memory_gb": 1.5, "timeout_s": 70,
                "flags": "--mem 1536m --cpus 0.6 --timeout 70s"}
        });
        for (name, value) in fields.as_object().unwrap() {
            of[name] = value.clone();
        }
        let advice: Advice = serde_json::from_value(json!({"quantile": 0.95, "items": [of]})).unwrap();
        let (terminal, width, colour) = (false, None, false);
        let (format, format_given, messages_terminal) = (Format::Table, false, false);
        cards(&advice, &Screen { format, format_given, terminal, messages_terminal, width, colour })
    }

    #[test]
    fn a_card_has_what_was_asked_for_used_and_is_proposed() {
        let expected = "\
train  42 attempts, 40 of them measured, 1 killed for memory
         ASKED       HALF     HIGH     MOST  WASTED  PROPOSED
  mem    4 GiB  921.6 MiB  1.2 GiB  1.3 GiB    70 %   1.5 GiB
  cpu        2        0.3     0.55      0.9  78.5 %       0.6
  run        -      20s      35s      41s       -     1m10s
  high  what 95 % of them did not exceed
  next  cloudai task submit IMAGE --mem 1536m --cpus 0.6 --timeout 70s";
        let words = |text: &str| {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        let shown = shown(&json!({}));
        assert_eq!(words(&shown), words(expected), "{shown}");
        assert!(shown.lines().skip(1).all(|line| line.starts_with("  ")), "{shown}");
    }

    #[test]
    fn too_few_are_shown_without_a_proposal() {
        let shown = shown(&json!({"attempts": 3, "measured": 3, "oom_killed": 0, "proposed": null}));
        assert!(shown.starts_with("train  3 attempts\n"), "{shown}");
        assert!(shown.ends_with("  note  too few to advise: it takes 5 that were measured"), "{shown}");
        assert!(shown.contains("921.6 MiB"), "what there is is shown: {shown}");
    }

    #[test]
    fn what_a_proposal_is_not_enough_for_and_what_is_bound_by_its_cores_is_said() {
        let memory = json!({"p50": 1, "high": 2, "max": 2_147_483_648_u64});
        let shown = shown(&json!({"peak_memory_bytes": memory, "cpu_bound": true}));
        assert!(shown.contains("one of them needed 2 GiB, more than 1.5 GiB: --quantile 1"), "{shown}");
        assert!(shown.contains("with more they may be faster"), "{shown}");
    }
}
