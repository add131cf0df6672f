//! Where texts of settings stand: the process's surroundings, `.env` and the TOML file, read with
//! their line numbers. Knows no meaning of any setting.

use super::problem::Problem;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a process is given by its surroundings; tests give their own.
pub(crate) trait Surroundings {
    /// An environment variable that is set and not empty.
    fn var(&self, name: &str) -> Option<String>;
    /// The names of all environment variables.
    fn names(&self) -> Vec<String>;
    /// The text of a file, none when it is not there.
    /// # Errors
    /// When it is there and can not be read.
    fn read(&self, path: &Path) -> std::io::Result<Option<String>>;
    /// Whether the user is root.
    fn is_root(&self) -> bool;
    /// The machine's name.
    fn hostname(&self) -> String;
}

/// The surroundings of this very process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process;

impl Surroundings for Process {
    fn var(&self, name: &str) -> Option<String> {
        // What is no UTF-8 is given all the same: its reader refuses it rather than nobody.
        let value = std::env::var_os(name)?.to_string_lossy().into_owned();
        Some(value).filter(|value| !value.is_empty())
    }
    fn names(&self) -> Vec<String> {
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }
    fn hostname(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

/// Surroundings without environment and `.env`: what a file says by itself.
pub(crate) struct FileAlone<'a>(pub(crate) &'a dyn Surroundings);

impl Surroundings for FileAlone<'_> {
    fn var(&self, name: &str) -> Option<String> {
        // The folders of defaults are no settings.
        self.0.var(name).filter(|_| matches!(name, "HOME" | "XDG_DATA_HOME" | "XDG_CONFIG_HOME"))
    }
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        if path == Path::new(DOTENV) { Ok(None) } else { self.0.read(path) }
    }
    fn is_root(&self) -> bool {
        self.0.is_root()
    }
    fn hostname(&self) -> String {
        self.0.hostname()
    }
}

/// The sources, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layer {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The file `.env`.
    Dotenv,
    /// The configuration file.
    File,
    /// None of them.
    Default,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Source {
    /// In which layer.
    pub(crate) source: Layer,
    /// Under which name: flag, variable or key.
    pub(crate) name: Option<String>,
    /// In which file.
    pub(crate) file: Option<String>,
    /// In which line, from 1.
    pub(crate) line: Option<usize>,
}

impl Source {
    /// A source that is no file.
    pub(crate) fn plain(source: Layer, name: Option<&str>) -> Self {
        Self { source, name: name.map(ToOwned::to_owned), file: None, line: None }
    }

    /// `cloudai.toml:3`; none where it is no file.
    #[must_use]
    pub(crate) fn file_and_line(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    }

    /// Where a value stands whose key is told beside it: `cloudai.toml:3`, `.env:1 HTTP_PORT`, `default`.
    #[must_use]
    pub(crate) fn beside_key(&self) -> String {
        match (self.source, self.file_and_line()) {
            (Layer::File, Some(place)) => place,
            (Layer::Flag | Layer::Environment, _) => self.name.clone().unwrap_or_default(),
            (Layer::Dotenv | Layer::File | Layer::Default, _) => self.to_string(),
        }
    }

    /// For messages: `HTTP_PORT`, `master.http in cloudai.toml:3`.
    #[must_use]
    pub(crate) fn place(&self) -> String {
        match (&self.name, self.file_and_line()) {
            (Some(name), Some(file)) => format!("{name} in {file}"),
            (Some(name), None) => name.clone(),
            (None, Some(file)) => file,
            (None, None) => "the default".into(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file_and_line().unwrap_or_default();
        let name = self.name.as_deref().unwrap_or_default();
        match self.source {
            Layer::Flag => write!(f, "flag {name}"),
            Layer::Environment => write!(f, "environment {name}"),
            Layer::Dotenv | Layer::File => write!(f, "{file} {name}"),
            Layer::Default => f.write_str("default"),
        }
    }
}

/// The type of TOML in which a value is written; elsewhere all are texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `"x"`.
    Text,
    /// `1` or `0.5`.
    Number,
    /// `true`.
    Truth,
    /// `["a", "b"]`.
    List,
}

impl Form {
    /// For messages.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Truth => "true or false without quotes",
            Self::List => "a list",
        }
    }
}

/// Texts by their names, with where they stand.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    layer: Layer,
    path: PathBuf,
    values: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    text: String,
    line: usize,
    form: Form,
}

impl Texts {
    /// The file.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A text that is not empty, and where it stands.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<(&str, Source)> {
        let Entry { text, line, .. } = self.values.get(name)?;
        // An empty variable counts as not set, as in the environment; an empty key is a value.
        let given = !text.is_empty() || self.layer == Layer::File;
        given.then(|| (text.as_str(), self.source(Some(name), Some(*line))))
    }

    /// How a text is written.
    pub(super) fn form(&self, name: &str) -> Form {
        self.values.get(name).map_or(Form::Text, |entry| entry.form)
    }

    /// All names with their sources.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Source)> {
        self.values.iter().map(|(name, entry)| (name.as_str(), self.source(Some(name), Some(entry.line))))
    }

    fn source(&self, name: Option<&str>, line: Option<usize>) -> Source {
        let file = Some(self.path.display().to_string());
        Source { source: self.layer, name: name.map(ToOwned::to_owned), file, line }
    }
}

/// The variables of a service, in the folder where it is started.
pub(crate) const DOTENV: &str = ".env";

/// Reads `NAME=value` lines; every line that is none goes to `problems`.
pub(super) fn read_dotenv(text: &str, problems: &mut Vec<Problem>) -> Texts {
    let mut found = Texts { layer: Layer::Dotenv, path: DOTENV.into(), values: BTreeMap::new() };
    for pair in dotenvy::from_read_iter(text.as_bytes()) {
        match pair {
            Ok((name, value)) => {
                let line = line_of_variable(text, &name);
                found.values.insert(name, Entry { text: value, line, form: Form::Text });
            }
            // The line is not repeated: it may be a password.
            Err(dotenvy::Error::LineParse(wrong, _)) => {
                let source = found.source(None, Some(line_that_begins(text, &wrong)));
                problems.push(Problem::of_file(
                    source,
                    "the line is no NAME=value",
                    "mend it: a value with spaces needs quotes",
                ));
            }
            Err(error) => {
                problems.push(Problem::of_file(found.source(None, None), &error.to_string(), "mend the file"));
            }
        }
    }
    found
}

/// The line with which a piece of the text begins: a quote that is left open takes many lines along,
/// a comment is cut off.
fn line_that_begins(text: &str, piece: &str) -> usize {
    let first = piece.trim_start().lines().next().unwrap_or_default().trim_end();
    let begins = |line: &str| !first.is_empty() && line.trim_start().starts_with(first);
    text.lines().position(begins).map_or(1, |at| at + 1)
}

/// The line where a variable is set last: that value holds.
fn line_of_variable(text: &str, name: &str) -> usize {
    let sets = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export").map_or(line, str::trim_start);
        line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().enumerate().filter(|(_, line)| sets(line)).last().map_or(1, |(at, _)| at + 1)
}

/// Reads a TOML file into texts by dotted keys; what is no TOML goes to `problems`.
pub(super) fn read_toml(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Texts {
    let mut found = Texts { layer: Layer::File, path: path.to_owned(), values: BTreeMap::new() };
    let (table, errors) = toml::de::DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map(|span| line_at(text, span.start));
        problems.push(Problem::of_file(
            found.source(None, line),
            error.message(),
            "mend the file, which is read as TOML",
        ));
    }
    flatten(text, "", table.get_ref(), &mut found, problems);
    found
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn flatten(text: &str, prefix: &str, table: &toml::de::DeTable<'_>, into: &mut Texts, problems: &mut Vec<Problem>) {
    use toml::de::DeValue;
    for (name, value) in table {
        let line = line_at(text, name.span().start);
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        let as_text = match value.get_ref() {
            DeValue::Table(inner) => {
                flatten(text, &key, inner, into, problems);
                continue;
            }
            DeValue::String(text) => Some((text.to_string(), Form::Text)),
            DeValue::Integer(number) => Some((number.to_string(), Form::Number)),
            DeValue::Float(number) => Some((number.to_string(), Form::Number)),
            DeValue::Boolean(truth) => Some((truth.to_string(), Form::Truth)),
            DeValue::Array(items) => {
                let texts: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                texts.map(|texts| (texts.join(","), Form::List))
            }
            DeValue::Datetime(_) => None,
        };
        match as_text {
            Some((text, form)) => drop(into.values.insert(key, Entry { text, line, form })),
            None => {
                let source = into.source(Some(&key), Some(line));
                problems.push(Problem::of_file(source, "must be a text, a number or a list of texts", "mend the file"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_toml_file_has_its_line() {
        let text = "# first\ndata_dir = 'd'\n\n[master]\nheartbeat_s = 0.5\nworker_lease_s = 1_000\n[worker]\n\
                    labels = [\n 'a=1',\n 'b=2' ]\n";
        let mut problems = Vec::new();
        let texts = read_toml(Path::new("c.toml"), text, &mut problems);
        let found: Vec<_> =
            texts.values.iter().map(|(key, entry)| (key.as_str(), entry.text.as_str(), entry.line)).collect();
        let expected = [
            ("data_dir", "d", 2),
            ("master.heartbeat_s", "0.5", 5),
            ("master.worker_lease_s", "1000", 6),
            ("worker.labels", "a=1,b=2", 8),
        ];
        assert_eq!(found, expected);
        assert_eq!(problems, []);
    }

    #[test]
    fn every_wrong_line_of_a_toml_file_is_told_with_its_number_and_the_others_are_read() {
        let mut problems = Vec::new();
        let text = "a = \nb = 2\nc = 1 2\n[master]\nhttp = 2024-01-01\ngrpc = [1]\n";
        let texts = read_toml(Path::new("c.toml"), text, &mut problems);
        let mut lines: Vec<_> = problems.iter().filter_map(|problem| problem.at.line).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines, [1, 3, 5, 6]);
        assert_eq!(texts.get("b").unwrap().0, "2");
    }

    #[test]
    fn a_wrong_line_of_dotenv_has_its_number_also_where_a_quote_is_left_open() {
        let rows =
            [("A=1\nB C=2\n", 2), ("A=1\n\n  B = 'x y\nC=3\n", 3), ("A=1 2 # c\n", 1), ("# c\nnonsense # c\n", 2)];
        for (text, line) in rows {
            let mut problems = Vec::new();
            read_dotenv(text, &mut problems);
            assert_eq!(problems.first().and_then(|problem| problem.at.line), Some(line), "{text}: {problems:?}");
        }
    }

    #[test]
    fn a_variable_of_dotenv_has_the_line_that_holds_and_a_wrong_line_is_not_repeated() {
        let mut problems = Vec::new();
        let text = "HTTP_PORT=1\n# c\nexport HTTP_PORT = 2\nsecret password\nGRPC_PORT='3'\nEMPTY=\n";
        let texts = read_dotenv(text, &mut problems);
        let told = |name| texts.get(name).map(|(text, source)| (text.to_owned(), source.place()));
        assert_eq!(told("HTTP_PORT"), Some(("2".into(), "HTTP_PORT in .env:3".into())));
        assert_eq!(told("GRPC_PORT"), Some(("3".into(), "GRPC_PORT in .env:5".into())));
        assert_eq!(told("EMPTY"), None);
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].starts_with(".env:4: ") && !told[0].contains("password"), "{told:?}");
    }
}
