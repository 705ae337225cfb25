//! Rows with one field a line: events are wide. JSON is written over several lines.

use std::io::{self, Write};

use arrow::datatypes::Schema;

use super::grid::{visible, width};

/// Writes a row, the `number`th, with a field a line.
pub(super) fn write_record(
    number: u64,
    schema: &Schema,
    values: &[Option<String>],
    out: &mut impl Write,
) -> io::Result<()> {
    let names: Vec<String> = schema.fields().iter().map(|field| visible(field.name())).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let title = format!("─ row {number} ");
    writeln!(out, "{title}{}", "─".repeat((widest + 20).saturating_sub(width(&title))))?;
    for (name, value) in names.iter().zip(values) {
        let value = value.as_deref().map_or("NULL".to_owned(), |value| visible(&pretty(value)));
        let pad = " ".repeat(widest - width(name));
        for (index, line) in value.split('\n').enumerate() {
            if index == 0 {
                writeln!(out, "{name}{pad} │ {line}")?;
            } else {
                writeln!(out, "{} │ {line}", " ".repeat(widest))?;
            }
        }
    }
    Ok(())
}

/// JSON objects and lists over several lines, everything else as it is. Numbers stay as they were written.
fn pretty(value: &str) -> String {
    if !value.starts_with(['{', '[']) || serde_json::from_str::<&serde_json::value::RawValue>(value).is_err()
    {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len() * 2);
    let mut depth: usize = 0;
    let mut chars = value.chars().peekable();
    let (mut in_text, mut escaped) = (false, false);
    while let Some(char) = chars.next() {
        if in_text {
            text.push(char);
            in_text = escaped || char != '"';
            escaped = !escaped && char == '\\';
            continue;
        }
        match char {
            '{' | '[' => {
                text.push(char);
                while chars.peek().is_some_and(|next| next.is_ascii_whitespace()) {
                    chars.next();
                }
                // What is empty stays on its line.
                match chars.peek() {
                    Some(close @ ('}' | ']')) => {
                        text.push(*close);
                        chars.next();
                    }
                    _ => {
                        depth += 1;
                        new_line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(char);
            }
            ',' => {
                text.push(',');
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            char if char.is_ascii_whitespace() => {}
            char => {
                in_text = char == '"';
                text.push(char);
            }
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn json_is_laid_out_and_its_values_stay_as_they_were() {
        let json = r#"{"a":1.50,"b":[{"c":"x\"}, {"},[],{ }],"d":null}"#;
        let expected = "{\n  \"a\": 1.50,\n  \"b\": [\n    {\n      \"c\": \"x\\\"}, {\"\n    },\n    [],\n    {}\n  ],\n  \"d\": null\n}";
        assert_eq!(pretty(json), expected);
        for other in ["{not json", "[1, 2", "plain", ""] {
            assert_eq!(pretty(other), other);
        }
    }

    #[test]
    fn a_field_is_a_line() {
        let fields = ["n", "payload"].map(|name| Field::new(name, DataType::Utf8, true));
        let values = [None, Some(r#"{"k":"v"}"#.to_owned())];
        let mut out = Vec::new();
        write_record(3, &Schema::new(fields.to_vec()), &values, &mut out).unwrap();
        let expected = "─ row 3 ───────────────────\nn       │ NULL\npayload │ {\n        │   \"k\": \"v\"\n        │ }\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
