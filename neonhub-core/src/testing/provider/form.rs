//! Bodies as JSON: what is JSON as it is, a form (RFC 7578) as an object of its fields.

use serde_json::{Map, Value, json};

/// The body of a request; null when it is neither.
pub(crate) fn body_of(kind: Option<&str>, bytes: &[u8]) -> Value {
    match kind.and_then(|kind| kind.strip_prefix("multipart/form-data; boundary=")) {
        Some(boundary) => form(boundary.trim_matches('"'), bytes).unwrap_or_default(),
        None => serde_json::from_slice(bytes).unwrap_or_default(),
    }
}

/// Texts as text, files as their name, media type and size; a name in brackets holds a list.
fn form(boundary: &str, bytes: &[u8]) -> Option<Value> {
    let mark = format!("--{boundary}");
    let mut out = Map::new();
    let mut rest = bytes.strip_prefix(mark.as_bytes())?;
    loop {
        if rest.starts_with(b"--") {
            return Some(Value::Object(out));
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let head_ends = find(rest, b"\r\n\r\n")?;
        let (head, tail) = (rest.get(..head_ends)?, rest.get(head_ends + 4..)?);
        let end = find(tail, format!("\r\n{mark}").as_bytes())?;
        let content = tail.get(..end)?;
        rest = tail.get(end + 2 + mark.len()..)?;
        let head = String::from_utf8_lossy(head);
        let quoted = |name: &str| {
            let at = head.find(&format!("; {name}=\""))? + name.len() + 4;
            head.get(at..)?.split('"').next().map(str::to_owned)
        };
        let name = quoted("name")?;
        let value = match quoted("filename") {
            Some(file) => {
                let kind = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
                });
                json!({ "file": file, "type": kind, "bytes": content.len() })
            }
            None => String::from_utf8_lossy(content).into_owned().into(),
        };
        match out.get_mut(&name) {
            Some(Value::Array(items)) => items.push(value),
            _ if name.ends_with("[]") => drop(out.insert(name, json!([value]))),
            _ => drop(out.insert(name, value)),
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
