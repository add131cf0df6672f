//! Drawings as SVG, written by hand: each stands alone as a file and fits into a page.
//!
//! Colours are in [`STYLE`] alone, for light and dark; those that tell things apart also differ for eyes that do not
//! see red or green, and shapes, dashes or words repeat what they say.

mod axis;
mod bars;
mod gantt;
mod utilization;
mod waits;

pub(super) use bars::bars;
pub(super) use gantt::gantt;
pub(super) use utilization::utilization;
pub(super) use waits::waits;

use cloudai_core::text::xml;
use std::fmt::Write;

/// The width of every drawing, in its own units.
const WIDTH: f64 = 720.0;

/// The classes of everything that is drawn.
pub(super) const STYLE: &str = "\
.c-text{font:13px system-ui,sans-serif;fill:#1B1F24}.c-dim{font:12px system-ui,sans-serif;fill:#57606A}\
.c-head{font:600 14px system-ui,sans-serif;fill:#1B1F24}.c-strong{font-weight:600}\
.c-grid{stroke:#848D97;stroke-opacity:.35;stroke-width:1}.c-axis{stroke:#848D97;stroke-width:1}\
.c-line{fill:none;stroke-width:2;stroke-linejoin:round}\
.c-r0{fill:#0070CC;stroke:#0070CC}.c-r1{fill:#A95C01;stroke:#A95C01}\
.c-r2{fill:#0C5C46;stroke:#0C5C46}.c-r3{fill:#781C6E;stroke:#781C6E}\
.c-line.c-r0,.c-line.c-r1,.c-line.c-r2,.c-line.c-r3,.c-line.c-dimline{fill:none}\
.c-line.c-r1{stroke-dasharray:8 3}.c-line.c-r2{stroke-dasharray:2 3}.c-line.c-r3{stroke-dasharray:8 3 2 3}\
.c-task{stroke:#FFF;stroke-width:.5}.c-bar{fill:#0070CC}.c-base{fill:#6A717B}.c-page{fill:#FFF}\
.c-bound{stroke:#890804;stroke-width:2;stroke-dasharray:5 3}.c-dimline{stroke:#6A717B;stroke-width:2;stroke-dasharray:5 4}\
@media(prefers-color-scheme:dark){.c-text,.c-head{fill:#E6EAEF}.c-dim{fill:#A0A9B4}\
.c-grid,.c-axis{stroke:#6B7480}.c-r0{fill:#4B8AEB;stroke:#4B8AEB}.c-r1{fill:#FAAC1F;stroke:#FAAC1F}\
.c-r2{fill:#1EEEAE;stroke:#1EEEAE}.c-r3{fill:#EDCCEC;stroke:#EDCCEC}.c-task{stroke:#14171C}\
.c-bar{fill:#4B8AEB}.c-base{fill:#90969F}.c-page{fill:#14171C}.c-bound{stroke:#F1505C}.c-dimline{stroke:#90969F}}";

/// The names of the resources, as they are drawn.
const RESOURCES: [&str; 4] = ["cores", "memory", "disk", "GPUs"];

/// A drawing.
#[derive(Clone, Debug)]
pub(super) struct Svg {
    title: String,
    /// One sentence that says what is seen, and what was left out.
    pub(super) about: String,
    height: f64,
    body: String,
}

/// Which side of a text its place is.
#[derive(Clone, Copy, Debug)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    fn new(title: impl Into<String>, about: impl Into<String>, height: f64) -> Self {
        let mut svg = Self { title: title.into(), about: about.into(), height, body: String::new() };
        let title = svg.title.clone();
        svg.text((8.0, 20.0), "c-head", Anchor::Start, &title);
        svg
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, text) = (number(x), number(y), xml(text));
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>");
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(number);
        let _ = write!(self.body, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }

    fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, hover: Option<&str>) {
        let [x, y, width, height] = [x, y, width, height].map(number);
        let _ = write!(self.body, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"");
        match hover {
            Some(text) => {
                let _ = write!(self.body, "><title>{}</title></rect>", xml(text));
            }
            None => self.body.push_str("/>"),
        }
    }

    fn dot(&mut self, (x, y): (f64, f64), class: &str) {
        let _ = write!(self.body, "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>", number(x), number(y));
    }

    fn path(&mut self, d: &str, class: &str) {
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{d}\"/>");
    }

    /// A file of its own.
    pub(super) fn alone(&self) -> String {
        let (width, height) = (number(WIDTH), number(self.height));
        let page = format!("<rect class=\"c-page\" width=\"{width}\" height=\"{height}\"/>");
        let head = format!("width=\"{width}\" height=\"{height}\"");
        let style = format!("<style>{STYLE}</style>{page}");
        self.element(&head, &style) + "\n"
    }

    /// A part of a page that has [`STYLE`].
    pub(super) fn inline(&self) -> String {
        self.element("", "")
    }

    fn element(&self, head: &str, first: &str) -> String {
        let (title, about) = (xml(&self.title), xml(&self.about));
        let space = if head.is_empty() { "" } else { " " };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {} {}\"{space}{head} \
             aria-label=\"{title}. {about}\">{first}<desc>{about}</desc>{}</svg>",
            number(WIDTH),
            number(self.height),
            self.body
        )
    }
}

/// A coordinate with one decimal.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A name that fits beside a drawing, cut in the middle.
fn fitting(name: &str, most: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= most {
        return name.to_owned();
    }
    let (front, back) = ((most - 2).div_ceil(2), (most - 2) / 2);
    let part = |part: &[char]| part.iter().collect::<String>();
    format!("{}..{}", part(&chars[..front]), part(&chars[chars.len() - back..]))
}
