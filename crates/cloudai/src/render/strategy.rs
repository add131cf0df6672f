//! Strategies and predictions for people.

use super::Screen;
use super::quantity::NOTHING;
use super::table::{Cell, Column, Table};
use cloudai_master::http::dto::{Figures, Knob, Predictions, Strategies};

/// The table of `strategy list`.
#[must_use]
pub(crate) fn list(known: &Strategies, screen: &Screen) -> String {
    let mut table =
        Table::new(&[Column::text("", 0), Column::text("STRATEGY", 0), Column::sentence("WHAT IT IS GOOD FOR")]);
    for strategy in &known.items {
        let (mark, name) = if strategy.current {
            ("*", Cell::coloured(strategy.name.as_str(), "1"))
        } else {
            ("", strategy.name.as_str().into())
        };
        table.row(vec![mark.into(), name, strategy.about.as_str().into()]);
    }
    let strategies = table.render(if screen.wide() { None } else { screen.width }, screen.colour);
    if screen.wide() { format!("{strategies}\n\n{}", knobs(&known.knobs, screen)) } else { strategies }
}

fn knobs(knobs: &[Knob], screen: &Screen) -> String {
    let columns = [
        Column::text("KNOB", 0),
        Column::number("VALUE", 0),
        Column::number("DEFAULT", 0),
        Column::text("ALLOWED", 0),
        Column::sentence("WHAT IT DOES"),
    ];
    let mut table = Table::new(&columns);
    for knob in knobs {
        let allowed = format!("{} to {}", knob.least, knob.most);
        let cells = [knob.name.clone(), knob.value.to_string(), knob.default.to_string(), allowed, knob.about.clone()];
        table.row(cells.into_iter().map(Cell::from).collect());
    }
    table.render(None, screen.colour)
}

/// The accuracy, then the table of `strategy predictions`.
#[must_use]
pub(crate) fn predictions(known: &Predictions, screen: &Screen) -> String {
    if known.runs == 0 {
        return "Nothing is known yet: run times are learned from tasks that end by themselves.".into();
    }
    let columns = [
        Column::text("USER", 4),
        Column::name("IMAGE", 0),
        Column::name("COMMAND", 3),
        Column::number("RUNS", 1),
        Column::number("NEXT", 0),
        Column::number("UPPER", 0),
        Column::text("BY", 5),
        Column::number("SURE", 2),
    ];
    let mut table = Table::new(&columns);
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.into());
    for kind in &known.list.items {
        let cells = [
            or_nothing(&kind.user_id),
            or_nothing(&kind.image),
            or_nothing(&kind.command),
            kind.runs.to_string(),
            time(kind.mean_s),
            time(kind.upper_s),
            kind.expert.clone(),
            format!("{} %", kind.confidence),
        ];
        table.row(cells.into_iter().map(Cell::from).collect());
    }
    let shown = known.list.items.len();
    let more = if shown < known.kinds {
        format!("\n{shown} of {} kinds of tasks; more: --limit", known.kinds)
    } else {
        String::new()
    };
    let table = table.render(if screen.wide() { None } else { screen.width }, screen.colour);
    let words = "NEXT: what the next run is thought to take; UPPER: what it is thought not to exceed; SURE: how close\n\
                 NEXT is expected to come. BY: recent, repeat: its last runs (as a share of estimates, as they\n\
                 were); habit: many runs; last_two: its user's last two; estimate: its user's word.";
    format!(
        "{} runs were learned from. Accuracy:\n  lately  {}\n  of all  {}\n\n{table}{more}\n\n{words}",
        known.runs,
        accuracy(&known.recent),
        accuracy(&known.total)
    )
}

fn accuracy(figures: &Figures) -> String {
    format!(
        "{:.0} % (the shorter of predicted and actual time in the longer); {:.0} % ended within the upper end",
        figures.closeness * 100.0,
        figures.within_upper * 100.0
    )
}

/// Two significant parts: a prediction is no more exact.
fn time(seconds: f64) -> String {
    let rows = [(86_400.0, "d"), (3600.0, "h"), (60.0, "m")];
    match rows.iter().find(|(unit, _)| seconds >= *unit) {
        Some((unit, word)) => format!("{:.1}{word}", seconds / unit),
        None if seconds < 1.0 => format!("{:.0}ms", seconds * 1000.0),
        None => format!("{seconds:.1}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;
    use serde_json::json;

    fn screen(format: Format) -> Screen {
        Screen { format, format_given: true, terminal: false, messages_terminal: false, width: None, colour: false }
    }

    #[test]
    fn the_current_strategy_is_marked_and_knobs_stand_in_the_wide_list() {
        let known = serde_json::from_value(json!({
            "current": "b",
            "items": [{"name": "a", "about": "First.", "current": false}, {"name": "b", "about": "Second.", "current": true}],
            "knobs": [{"name": "patience", "about": "Waits.", "value": 5.0, "default": 20.0, "least": 0.0, "most": 1000.0}]
        }))
        .unwrap();
        let narrow = list(&known, &screen(Format::Table));
        assert_eq!(narrow, "   STRATEGY  WHAT IT IS GOOD FOR\n   a         First.\n*  b         Second.");
        let wide = list(&known, &screen(Format::Wide));
        assert!(
            wide.ends_with(
                "KNOB      VALUE  DEFAULT  ALLOWED    WHAT IT DOES\npatience      5       20  0 to 1000  Waits."
            ),
            "{wide}"
        );
    }

    #[test]
    fn predictions_tell_their_accuracy_and_every_kind() {
        let figures = json!({"closeness": 0.812, "within_upper": 0.9, "log2_error": 0.3});
        let kind = json!({
            "user_id": "local", "image": "python:3.12", "command": null, "runs": 12, "shortest_s": 1.0, "median_s": 2.0,
            "longest_s": 3.0, "mean_s": 75.0, "upper_s": 5400.0, "expert": "recent", "confidence": 81
        });
        let known = json!({"runs": 12, "total": figures, "recent": figures, "kinds": 3, "items": [kind]});
        let shown = predictions(&serde_json::from_value(known).unwrap(), &screen(Format::Table));
        for said in [
            "12 runs were learned from.",
            "lately  81 % (",
            "90 % ended within the upper end",
            "USER   IMAGE        COMMAND  RUNS  NEXT  UPPER  BY      SURE",
            "local  python:3.12  -          12  1.2m   1.5h  recent  81 %",
            "NEXT: what the next run is thought to take",
            "1 of 3 kinds of tasks",
        ] {
            assert!(shown.contains(said), "{said}\n{shown}");
        }
        let none = json!({"runs": 0, "total": figures, "recent": figures, "kinds": 0, "items": []});
        assert!(
            predictions(&serde_json::from_value(none).unwrap(), &screen(Format::Table)).starts_with("Nothing is known")
        );
    }
}
