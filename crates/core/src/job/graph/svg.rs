//! A plan as a drawing that stands alone as a file and fits into a page.

use super::layout::Layout;
use super::text::needs;
use super::{Words, label};
use crate::job::JobPlan;
use crate::task::DependsWhen;
use crate::text::xml;
use std::fmt::Write;

/// The most groups that are drawn.
pub const MOST_DRAWN: usize = 2000;
/// The most needs that are drawn.
const MOST_NEEDS: usize = 20_000;

/// A plan is too large to be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{groups} tasks with {needs} needs are too many to be drawn: at most {} and {} are", MOST_DRAWN, MOST_NEEDS)]
pub struct TooLarge {
    /// How many groups it has.
    pub groups: usize,
    /// And needs.
    pub needs: usize,
}

/// Colours for light and dark, and of words that tell how far a group is.
const STYLE: &str = "\
.g-page{fill:#FFF}.g-name{font:13px ui-monospace,monospace;fill:#1B1F24}\
.g-word{font:11px system-ui,sans-serif;fill:#57606A}.g-box{fill:#F6F8FA;stroke:#848D97}\
.g-line{fill:none;stroke:#848D97;stroke-width:1.2}.g-other{stroke-dasharray:5 3}.g-head{fill:#848D97}\
.g-running .g-box,.g-pending .g-box{stroke:#0070CC;stroke-width:2}.g-completed .g-box{stroke:#0C5C46;stroke-width:2}\
.g-failed .g-box{stroke:#890804;stroke-width:2}.g-cancelled .g-box{stroke:#890804;stroke-dasharray:5 3}\
@media(prefers-color-scheme:dark){.g-page{fill:#14171C}.g-name{fill:#E6EAEF}.g-word{fill:#A0A9B4}\
.g-box{fill:#1C2128;stroke:#6B7480}.g-line{stroke:#6B7480}.g-head{fill:#6B7480}\
.g-running .g-box,.g-pending .g-box{stroke:#4B8AEB}.g-completed .g-box{stroke:#1EEEAE}\
.g-failed .g-box,.g-cancelled .g-box{stroke:#F1505C}}";

const MARGIN: usize = 16;
/// Between two columns: room for lines that go up and down.
const GAP: usize = 56;
/// The width of a letter of a name.
const LETTER: usize = 8;
/// Letters of a name that are shown.
const LETTERS: usize = 32;
/// What a line takes that only passes a column.
const PASSING: usize = 8;

/// The plan as a drawing: what is needed stands left of what needs it, with a dashed line where its failure is waited
/// for as well.
/// # Errors
/// It is too large.
pub fn svg(plan: &JobPlan, words: Words<'_>) -> Result<String, TooLarge> {
    let groups = plan.groups.len();
    let needs = plan.groups.iter().map(|group| group.needs.len()).sum::<usize>();
    if groups > MOST_DRAWN || needs > MOST_NEEDS {
        return Err(TooLarge { groups, needs });
    }
    let drawing = Drawing::of(plan, words.is_some());
    let name = plan.name.as_deref().unwrap_or("a job");
    let about = xml(&format!("{name}: {groups} tasks, what is needed left of what needs it"));
    let (width, height) = (drawing.width, drawing.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" aria-label=\"{about}\"><style>{STYLE}</style><defs><marker id=\"g-end\" viewBox=\"0 0 8 8\" \
         refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"g-head\" \
         d=\"M0 0L8 4L0 8z\"/></marker></defs><rect class=\"g-page\" width=\"{width}\" height=\"{height}\"/>"
    );
    drawing.lines(plan, &mut svg);
    drawing.boxes(plan, words, &mut svg);
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Rows and columns as coordinates.
struct Drawing {
    layout: Layout,
    /// Where each column begins, and how wide it is.
    columns: Vec<(usize, usize)>,
    /// The height of a box.
    high: usize,
    width: usize,
    height: usize,
}

impl Drawing {
    fn of(plan: &JobPlan, with_words: bool) -> Self {
        let layout = Layout::of(plan);
        let high = if with_words { 42 } else { 28 };
        let mut widths = vec![PASSING; layout.columns.iter().max().map_or(0, |last| last + 1)];
        for (group, column) in plan.groups.iter().zip(&layout.columns) {
            let letters = label(group).len().min(LETTERS);
            widths[*column] = widths[*column].max(letters * LETTER + 20);
        }
        let mut left = MARGIN;
        let mut columns = Vec::with_capacity(widths.len());
        for width in widths {
            columns.push((left, width));
            left += width + GAP;
        }
        let (width, rows) = (left.saturating_sub(GAP) + MARGIN, layout.rows);
        let height = 2 * MARGIN + rows * (high + 16);
        Self { layout, columns, high, width, height }
    }

    /// The middle of a node.
    fn middle(&self, node: usize) -> usize {
        MARGIN + (self.layout.places[node] + 1) * (self.high + 16) / 2
    }

    fn lines(&self, plan: &JobPlan, svg: &mut String) {
        for way in &self.layout.ways {
            let mut d = String::new();
            for (step, node) in way.iter().enumerate() {
                let (left, width) = self.columns[self.layout.columns[*node]];
                let y = self.middle(*node);
                if step > 0 {
                    let _ = write!(d, "L{left} {y}");
                }
                if step + 1 < way.len() {
                    let _ = write!(d, "{}{} {y}", if step == 0 { 'M' } else { 'L' }, left + width);
                }
            }
            let class = if is_plain(plan, way) { "g-line" } else { "g-line g-other" };
            let _ = write!(svg, "<path class=\"{class}\" d=\"{d}\" marker-end=\"url(#g-end)\"/>");
        }
    }

    fn boxes(&self, plan: &JobPlan, words: Words<'_>, svg: &mut String) {
        for (number, group) in (0_u32..).zip(&plan.groups) {
            let node = number as usize;
            let (x, width) = self.columns[self.layout.columns[node]];
            let (high, y) = (self.high, self.middle(node) - self.high / 2);
            let word = words.map(|words| words(number));
            let whole = [Some(label(group)), word.map(str::to_owned), Some(needs(plan, &group.needs))];
            let whole: Vec<String> = whole.into_iter().flatten().filter(|part| !part.is_empty()).collect();
            let class = word.map(|word| format!(" class=\"g-{}\"", xml(word))).unwrap_or_default();
            let (name, about) = (xml(&shortened(&label(group))), xml(&whole.join(", ")));
            let _ = write!(
                svg,
                "<g{class}><title>{about}</title><rect class=\"g-box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" \
                 height=\"{high}\" rx=\"4\"/><text class=\"g-name\" x=\"{}\" y=\"{}\">{name}</text>",
                x + 10,
                y + 18
            );
            if let Some(word) = word {
                let word = xml(word);
                let _ = write!(svg, "<text class=\"g-word\" x=\"{}\" y=\"{}\">{word}</text>", x + 10, y + 34);
            }
            svg.push_str("</g>");
        }
    }
}

/// Whether only the success of what is needed is waited for.
fn is_plain(plan: &JobPlan, way: &[usize]) -> bool {
    let (Some(from), Some(to)) = (way.first(), way.last()) else { return true };
    let from = u32::try_from(*from).ok();
    let needs = plan.groups.get(*to).map_or(&[] as &[_], |group| group.needs.as_slice());
    needs.iter().filter(|need| need.group() == from).all(|need| need.when == DependsWhen::Success)
}

/// A name that fits into its box: its end tells elements apart.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= LETTERS {
        return name.to_owned();
    }
    let end = &letters[letters.len() - LETTERS / 2..];
    letters[..LETTERS / 2 - 2].iter().chain(&['.', '.']).chain(end).collect()
}
