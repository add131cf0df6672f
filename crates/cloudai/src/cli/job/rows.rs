//! `each` from a file: the rows of a table, or the lines of a text.

mod table;

use crate::exit::Failure;
use cloudai_core::spec::Value;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use table::{lines, rows};

/// Much more than the items of any valid job, in bytes.
const LONGEST: u64 = 256 << 20;

/// Puts the items in the place of the file that a task names; its path begins here.
/// # Errors
/// It can not be read, or has no items.
pub(in crate::cli) fn fill(task: &mut Value, before: &str, base: &Path) -> Result<(), Failure> {
    let Value::Map(fields) = task else { return Ok(()) };
    for (_, each) in fields.iter_mut().filter(|(name, _)| name == "each") {
        let Value::Map(entries) = &*each else { continue };
        let [(form, Value::Text(file))] = entries.as_slice() else { continue };
        let read: fn(&str) -> Result<Vec<Value>, String> = match form.as_str() {
            "csv" => rows,
            "lines" => lines,
            _ => continue,
        };
        let path = base.join(file);
        let items = text(&path).map_err(|error| error.to_string()).and_then(|text| read(&text));
        let items = items.map_err(|why| {
            let failure = Failure::usage(format!("{} can not be read", path.display())).why(why);
            failure.why(format!("it is {before}each.{form}"))
        })?;
        *each = Value::List(items);
    }
    Ok(())
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(text)
}
