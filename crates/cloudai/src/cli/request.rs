//! `--request`: one of several requests of a task, of which the first that fits is taken.

use crate::config::{cores, gigabytes};
use cloudai_core::spec::Value;

/// The words of a request, as the flags are called, each with the field that it means.
const WORDS: [(&str, &str); 5] = [
    ("cpus", "cpu_cores"),
    ("mem", "memory_gb"),
    ("disk", "storage_gb"),
    ("gpus", "gpu_cores"),
    ("gpu-model", "gpu_model"),
];

/// The entry of `requests` that `WORD=AMOUNT,...` means; which amounts there may be says the core.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut fields: Vec<(String, Value)> = Vec::new();
    for part in text.split(',') {
        let (word, amount) = part.split_once('=').ok_or_else(|| unknown(part))?;
        let (word, amount) = (word.trim(), amount.trim());
        let named = WORDS.iter().find(|(known, field)| *known == word || *field == word);
        let (known, field) = named.ok_or_else(|| unknown(part))?;
        if fields.iter().any(|(before, _)| before == field) {
            return Err(format!("{known} is given twice"));
        }
        let value = match *known {
            "cpus" | "gpus" => Value::Float(cores(amount)?),
            "mem" | "disk" => Value::Float(gigabytes(amount)?),
            _ => Value::Text(amount.to_owned()),
        };
        fields.push(((*field).to_owned(), value));
    }
    Ok(Value::Map(fields))
}

fn unknown(part: &str) -> String {
    let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
    format!("{part:?} is no amount: expected {} with = and commas, as gpus=1,mem=8g", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_words_of_the_flags_or_of_the_file_in_their_units() {
        let field = |name: &str, value: Value| (name.to_owned(), value);
        let expected = Value::Map(vec![
            field("gpu_cores", Value::Float(0.5)),
            field("memory_gb", Value::Float(8.0)),
            field("gpu_model", Value::Text("a100".into())),
        ]);
        for text in ["gpus=0.5,mem=8g,gpu-model=a100", "gpu_cores = 0.5, memory_gb = 8, gpu_model = a100"] {
            assert_eq!(parse(text), Ok(expected.clone()), "{text}");
        }
        let all = parse("cpus=2,disk=512m").unwrap();
        assert_eq!(
            all,
            Value::Map(vec![field("cpu_cores", Value::Float(2.0)), field("storage_gb", Value::Float(0.5))])
        );
        for (text, said) in [
            ("", "is no amount"),
            ("cpus", "is no amount"),
            ("cores=1", "expected cpus, mem, disk, gpus, gpu-model"),
            ("cpus=1,cpu_cores=2", "cpus is given twice"),
        ] {
            assert!(parse(text).unwrap_err().contains(said), "{text}");
        }
        assert!(parse("cpus=many").is_err() && parse("mem=8x").is_err());
    }
}
