//! Just enough of Rust: which bytes are code, where functions begin and end, what log calls say. No parser.

/// The source with comments and the insides of literals replaced by blanks: same length, same lines.
pub(crate) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skip_from(bytes, at);
        if end > at + 1 {
            // The delimiters of literals stay, so that a message is still seen to be one.
            let keep = usize::from(!bytes[at..].starts_with(b"/"));
            blank(&mut code[at + keep..end - keep]);
        }
        at = end;
    }
    String::from_utf8(code).expect("blanks replace whole characters")
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// The end of the comment or literal that begins at `at`; `at + 1` when none begins there.
fn skip_from(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let inside_word = at > 0 && is_word(bytes[at - 1]);
    if rest.starts_with(b"//") {
        rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
    } else if rest.starts_with(b"/*") {
        block_comment_end(bytes, at)
    } else if rest.starts_with(b"\"") {
        quoted_end(bytes, at)
    } else if (rest.starts_with(b"r\"") || rest.starts_with(b"r#")) && (!inside_word || bytes[at - 1] == b'b') {
        raw_string_end(bytes, at)
    } else if rest.starts_with(b"'") {
        char_end(rest).map_or(at + 1, |length| at + length)
    } else {
        at + 1
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if bytes[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn quoted_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], start: usize) -> usize {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return start + 1; // a raw identifier
    }
    let close = [b"\"".as_slice(), "#".repeat(hashes).as_bytes()].concat();
    let length = bytes[open + 1..].windows(close.len()).position(|window| window == close);
    length.map_or(bytes.len(), |length| open + 1 + length + close.len())
}

/// The length of a character literal; none for a lifetime.
fn char_end(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return rest.iter().skip(3).position(|byte| *byte == b'\'').map(|length| length + 4);
    }
    // One character: a closing quote behind it tells it from a lifetime.
    let width = match rest.get(1)? {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The places where `word` stands as a whole word.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        (*at == 0 || !is_word(bytes[at - 1])) && bytes.get(at + word.len()).is_none_or(|byte| !is_word(*byte))
    })
}

pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// A function with a body: lines are counted from `fn` to the closing brace, both included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
    pub(crate) is_test: bool,
}

/// All functions with a body in a source.
pub(crate) fn functions(source: &str) -> Vec<Function> {
    let code = code_only(source);
    words(&code, "fn").filter_map(|at| function_at(&code, at)).collect()
}

fn function_at(code: &str, at: usize) -> Option<Function> {
    let name: String = code[at + 2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return None; // a function pointer's type
    }
    let open = body_start(code, at)?;
    let end = closing(code, open)?;
    let line = line_of(code, at);
    // What stands between the item before and `fn`: attributes, visibility, `async`.
    let before = &code[code[..at].rfind([';', '{', '}']).map_or(0, |end| end + 1)..at];
    let is_test = before.contains("test]") || before.contains("test(");
    Some(Function { name, line, lines: line_of(code, end) - line + 1, is_test })
}

/// The brace that opens the body of the function at `at`; none for one without a body.
fn body_start(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at + offset),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, c) in code[open..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + offset);
        }
    }
    None
}

/// The constant messages of tracing's macros, each with its line.
pub(crate) fn log_messages(source: &str) -> Vec<(usize, &str)> {
    let code = code_only(source);
    let calls = ["trace!", "debug!", "info!", "warn!", "error!"];
    let mut found: Vec<_> = calls
        .iter()
        .flat_map(|call| code.match_indices(call).map(|(at, _)| (at, at + call.len())))
        .filter(|(at, _)| *at == 0 || !is_word(code.as_bytes()[at - 1]))
        .filter_map(|(_, end)| message_in(source, &code, end))
        .collect();
    found.sort_unstable();
    found
}

/// The first argument of the call at `open` that is a string and nothing else: fields have a name before it.
fn message_in<'a>(source: &'a str, code: &str, open: usize) -> Option<(usize, &'a str)> {
    if !code[open..].starts_with('(') {
        return None;
    }
    let end = closing(code, open)?;
    let mut depth = 0_i32;
    let mut start = open + 1;
    for at in open + 1..=end {
        match code.as_bytes()[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if at < end => depth -= 1,
            b',' | b')' | b']' | b'}' if depth == 0 => {
                let argument = source[start..at].trim();
                if let Some(message) = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                    return Some((line_of(code, start + source[start..at].find('"')?), message));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

#[test]
fn comments_and_literals_are_blanked_and_nothing_moves() {
    let rows = [
        ("a // x\nb", "a     \nb"),
        ("a /* x /* y */ z */ b", "a                   b"),
        (r#"f("{", '{', '\'')"#, r#"f(" ", ' ', '  ')"#),
        (r###"f(r#"a"b{"#)"###, "f(r       #)"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("'é' + 1", "'  ' + 1"),
        (r#""\"{" x"#, r#""   " x"#),
    ];
    for (source, code) in rows {
        assert_eq!(code_only(source), code, "{source}");
    }
}

#[test]
fn functions_are_measured_from_fn_to_brace() {
    let source = "fn a() {\n  \"}\";\n}\n\ntrait T {\n  fn b();\n}\n#[tokio::test(start_paused = true)]\nasync fn c() { g(|| {}) }\ntype F = fn(u8);\n";
    let found: Vec<_> = functions(source).into_iter().map(|f| (f.name, f.line, f.lines, f.is_test)).collect();
    assert_eq!(found, [("a".to_owned(), 1, 3, false), ("c".to_owned(), 9, 1, true)]);
}

#[test]
fn messages_are_found_behind_fields_and_over_lines() {
    let source = "info!(a = \"No\", task = %t.id(), \"one\");\nwarn!(\n  x,\n  \"Two.\"\n);\nerror!(y);\nmy_info!(\"three\");\ntracing::debug!(target: \"T\", \"four {}\", f(\"Z\"));";
    assert_eq!(log_messages(source), [(1, "one"), (4, "Two."), (8, "four {}")]);
}
