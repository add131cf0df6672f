//! Columns of text that fit a terminal: less important ones are dropped, then names shortened.
//!
//! Without a width nothing is dropped or cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A column and what happens to it when there is no room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its head.
    pub(crate) title: &'static str,
    /// 0 is never dropped; the highest goes first.
    pub(crate) rank: u8,
    /// Numbers stand on the right.
    pub(crate) right: bool,
    /// What may be left out of a cell.
    pub(crate) cut: Cut,
}

/// What may be left out of a cell that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing.
    Never,
    /// The middle: both ends tell names apart.
    Middle,
    /// The end; other columns go before less than so many characters are left.
    End(usize),
}

impl Column {
    /// A column of words.
    #[must_use]
    pub(crate) const fn text(title: &'static str, rank: u8) -> Self {
        Self { title, rank, right: false, cut: Cut::Never }
    }
    /// A column of numbers.
    #[must_use]
    pub(crate) const fn number(title: &'static str, rank: u8) -> Self {
        Self { title, rank, right: true, cut: Cut::Never }
    }
    /// A column of long names.
    #[must_use]
    pub(crate) const fn name(title: &'static str, rank: u8) -> Self {
        Self { title, rank, right: false, cut: Cut::Middle }
    }
    /// A column of sentences, which is never dropped.
    #[must_use]
    pub(crate) const fn sentence(title: &'static str) -> Self {
        Self { title, rank: 0, right: false, cut: Cut::End(SENTENCE) }
    }

    /// What is left of a cell at least.
    const fn least(self, wide: usize) -> usize {
        match self.cut {
            Cut::Never => wide,
            Cut::Middle => SHORTEST,
            Cut::End(least) => least,
        }
    }
}

/// A cell and its colour.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    colour: Option<&'static str>,
}

impl Cell {
    /// A cell in an ANSI colour (the number of SGR), when there are colours.
    #[must_use]
    pub(crate) fn coloured(text: impl Into<String>, colour: &'static str) -> Self {
        Self { text: text.into(), colour: Some(colour) }
    }
    /// Its text.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), colour: None }
    }
}

/// Rows under columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// Between two columns.
const GAP: usize = 2;
/// Names are never shorter than this.
const SHORTEST: usize = 8;
/// Sentences are shorter than this only where nothing else is left to drop.
const SENTENCE: usize = 36;

impl Table {
    /// A table without rows.
    #[must_use]
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a cell for every column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        let clean = |cell: Cell| Cell { text: printable(&cell.text), ..cell };
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// The lines, without trailing spaces.
    #[must_use]
    pub(crate) fn render(&self, width: Option<usize>, colour: bool) -> String {
        let (shown, widths) = self.fit(width);
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        let head: Vec<Cell> = self.columns.iter().map(|column| column.title.into()).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (&at, &wide) in shown.iter().zip(&widths) {
                let last = Some(&at) == shown.last();
                line.push_str(&self.cell(&row[at], self.columns[at], wide, last, colour));
                line.push_str(if last { "" } else { "  " });
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }

    fn cell(&self, cell: &Cell, column: Column, wide: usize, last: bool, colour: bool) -> String {
        let text = match column.cut {
            Cut::Never | Cut::Middle => shorten(&cell.text, wide),
            Cut::End(_) => cut_off(&cell.text, wide),
        };
        let space = " ".repeat(wide.saturating_sub(text.width()));
        let text = match cell.colour.filter(|_| colour) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text,
        };
        match (column.right, last) {
            (true, _) => format!("{space}{text}"),
            (false, true) => text,
            (false, false) => format!("{text}{space}"),
        }
    }

    /// The columns that are shown and how wide each is.
    fn fit(&self, width: Option<usize>) -> (Vec<usize>, Vec<usize>) {
        let natural = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].text.width());
            cells.chain([self.columns[at].title.width()]).max().unwrap_or(0)
        };
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut widths: Vec<usize> = shown.iter().map(|at| natural(*at)).collect();
        let Some(limit) = width else { return (shown, widths) };
        loop {
            let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            let Some(mut over) = total.checked_sub(limit).filter(|over| *over > 0) else { break };
            // First what shortening can give, then whole columns.
            let give = |widths: &mut [usize], least: &dyn Fn(Column, usize) -> usize, over: &mut usize| {
                for (at, wide) in shown.iter().zip(widths) {
                    let given = wide.saturating_sub(least(self.columns[*at], *wide)).min(*over);
                    *wide -= given;
                    *over -= given;
                }
            };
            let mut shorter = widths.clone();
            give(&mut shorter, &Column::least, &mut over);
            if over == 0 {
                widths = shorter;
                break;
            }
            let dropped = shown.iter().enumerate().filter(|(_, at)| self.columns[**at].rank > 0);
            let Some((place, _)) = dropped.max_by_key(|(_, at)| self.columns[**at].rank) else {
                let last = |column: Column, wide: usize| if column.cut == Cut::Never { wide } else { SHORTEST };
                give(&mut shorter, &last, &mut over);
                widths = shorter;
                break;
            };
            shown.remove(place);
            widths.remove(place);
        }
        (shown, widths)
    }
}

/// Shortens a text in the middle.
fn shorten(text: &str, wide: usize) -> String {
    if text.width() <= wide {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let keep = wide.saturating_sub(2).min(chars.len());
    let (front, back) = (keep.div_ceil(2), keep / 2);
    let ends = |part: &[char]| part.iter().collect::<String>();
    format!("{}..{}", ends(&chars[..front]), ends(&chars[chars.len() - back..]))
}

/// Cuts the end of a text off.
fn cut_off(text: &str, wide: usize) -> String {
    if text.width() <= wide {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + c.width().unwrap_or(0) + 2 > wide {
            break;
        }
        kept.push(c);
    }
    format!("{}..", kept.trim_end())
}

/// A text without control characters: names must not steer the terminal.
#[must_use]
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            Column::text("ID", 0),
            Column::name("NAME", 1),
            Column::text("WORKER", 3),
            Column::number("CPU", 2),
        ]);
        table.row(vec!["7K3M9QZD".into(), "a-very-long-name".into(), "gpu-01".into(), "4".into()]);
        table.row(vec![Cell::coloured("1", "31"), "b".into(), "-".into(), "0.5".into()]);
        table
    }

    #[test]
    fn nothing_is_cut_without_a_width() {
        let expected = "\
ID        NAME              WORKER  CPU
7K3M9QZD  a-very-long-name  gpu-01    4
1         b                 -       0.5";
        assert_eq!(table().render(None, false), expected);
    }

    #[test]
    fn names_shorten_first_then_columns_go_by_rank() {
        assert_eq!(table().render(Some(32), false).lines().nth(1), Some("7K3M9QZD  a-ve..ame  gpu-01    4"));
        assert_eq!(table().render(Some(26), false).lines().nth(1), Some("7K3M9QZD  a-ver..name    4"));
        assert_eq!(table().render(Some(5), false).lines().nth(1), Some("7K3M9QZD"));
    }

    #[test]
    fn a_sentence_stays_and_other_columns_go_before_it_gets_short() {
        let mut table = Table::new(&[
            Column::text("ID", 0),
            Column::name("NAME", 2),
            Column::text("AGE", 1),
            Column::sentence("WHY"),
        ]);
        table.row(vec!["7K3M9QZD".into(), "fit".into(), "6m12s".into(), "no worker has room; w1 comes nearest".into()]);
        let line = |width| table.render(Some(width), false).lines().nth(1).unwrap().to_owned();
        assert_eq!(line(60), "7K3M9QZD  fit   6m12s  no worker has room; w1 comes nearest");
        assert_eq!(line(53), "7K3M9QZD  6m12s  no worker has room; w1 comes nearest");
        assert_eq!(line(50), "7K3M9QZD  no worker has room; w1 comes nearest");
        assert_eq!(line(40), "7K3M9QZD  no worker has room; w1 comes..");
        assert_eq!(line(20), "7K3M9QZD  no worke..");
        for width in [20, 40, 50, 53, 60] {
            assert!(line(width).len() <= width);
        }
    }

    #[test]
    fn colours_do_not_move_columns() {
        let line = "\u{1b}[31m1\u{1b}[0m         b                 -       0.5";
        assert_eq!(table().render(None, true).lines().nth(2), Some(line));
    }

    #[test]
    fn control_characters_of_names_do_not_reach_the_terminal() {
        let mut table = Table::new(&[Column::text("A", 0)]);
        table.row(vec!["x\u{1b}[2Jy\n".into()]);
        assert_eq!(table.render(None, false), "A\nx [2Jy");
    }
}
