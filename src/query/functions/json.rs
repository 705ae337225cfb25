//! Reading into JSON text by path, as Trino, DuckDB and PostgreSQL do.
//!
//! Text that is no JSON, like a path to nothing, gives null; only `json_parse` says what is wrong with it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, lit};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Call, Function, Returns, args_of, convert, literal};

pub(super) const FUNCTIONS: &[Function] = &[
    // Trino
    Function::new("json_extract", (2, 2), Returns::Text, extract).simplify(without_map),
    Function::new("json_extract_scalar", (2, 2), Returns::Text, extract_scalar).simplify(without_map_scalar),
    Function::new("json_array_length", (1, 2), Returns::Int, array_length),
    Function::new("json_array_contains", (2, 2), Returns::Bool, array_contains),
    Function::new("json_array_get", (2, 2), Returns::Text, array_get),
    Function::new("json_size", (2, 2), Returns::Int, size),
    Function::new("json_parse", (1, 1), Returns::Text, parse).fails(),
    Function::new("json_format", (1, 1), Returns::Text, |call| Ok(Arc::new(call.text(0)?))),
    Function::new("is_json_scalar", (1, 1), Returns::Bool, is_scalar),
    // DuckDB
    Function::new("json_extract_string", (2, 2), Returns::Text, extract_string)
        .also(&["json_extract_path_text"]),
    Function::new("json_contains", (2, 2), Returns::Bool, contains),
    Function::new("json_valid", (1, 1), Returns::Bool, valid),
    Function::new("json_type", (1, 2), Returns::Text, type_of),
    // Ours: what casts of JSON and members of payload maps become
    JSON_TEXT,
    Function::new("json_scalar", (1, 1), Returns::Text, scalar),
    Function::new("json_elements", (1, 1), Returns::Texts, elements),
];

/// `json_text(json, key)`: the member of an object as text, as it is in a payload's map.
const JSON_TEXT: Function = {
    let mut function = Function::new("json_text", (2, 2), Returns::Text, text);
    function.accessor = true;
    function
};
pub(super) static JSON_TEXT_FN: Function = JSON_TEXT;

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// `.name`, `["name"]`
    Member(String),
    /// `[2]`; counted from the end where it is negative.
    Index(i64),
    /// `[*]`, `.*`
    All,
}

/// Reads a path: `$.a["b.c"][0]`. Without `$` it is taken as it is in Presto's older form, `a.b[0]`.
pub(super) fn path(text: &str) -> Result<Vec<Step>> {
    let wrong = || exec_datafusion_err!("{text:?} is no JSON path: write it as $.name[\"other name\"][0]");
    let mut rest = text.trim();
    for mode in ["strict ", "lax "] {
        rest = rest.strip_prefix(mode).unwrap_or(rest);
    }
    let mut steps = Vec::new();
    let mut named = match rest.strip_prefix('$') {
        Some(after) => {
            rest = after;
            false
        }
        None => true,
    };
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            rest = bracket(inside.trim_start(), &mut steps).ok_or_else(wrong)?;
        } else {
            rest = match rest.strip_prefix('.') {
                Some(after) => after,
                None if named => rest,
                None => return Err(wrong()),
            };
            if let Some(quoted) = rest.strip_prefix('"') {
                let (name, after) = quoted.split_once('"').ok_or_else(wrong)?;
                steps.push(Step::Member(name.to_owned()));
                rest = after;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                steps.push(match name {
                    "" => return Err(wrong()),
                    "*" => Step::All,
                    name => Step::Member(name.to_owned()),
                });
                rest = after;
            }
        }
        named = false;
    }
    Ok(steps)
}

/// What stands in brackets; returns what comes after them.
fn bracket<'a>(inside: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    for quote in ['"', '\''] {
        let Some(quoted) = inside.strip_prefix(quote) else { continue };
        let mut name = String::new();
        let mut chars = quoted.char_indices();
        loop {
            match chars.next()? {
                (at, char) if char == quote => {
                    steps.push(Step::Member(name));
                    return quoted[at + 1..].trim_start().strip_prefix(']');
                }
                (_, '\\') => name.push(chars.next()?.1),
                (_, char) => name.push(char),
            }
        }
    }
    let (number, after) = inside.split_once(']')?;
    steps.push(match number.trim() {
        "*" => Step::All,
        number => Step::Index(number.trim_start_matches('#').parse().ok()?),
    });
    Some(after)
}

/// A path as DuckDB reads it: `$…` as above, `/a/0` a JSON pointer, a number an index, else the name of a member.
pub(super) fn duckdb_path(text: &str) -> Result<Vec<Step>> {
    if text.starts_with('$') {
        return path(text);
    }
    let step = |step: &str| match step.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Member(step.replace("~1", "/").replace("~0", "~")),
    };
    Ok(match text.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(step).collect(),
        None => vec![text.parse().map_or_else(|_| Step::Member(text.to_owned()), Step::Index)],
    })
}

/// The verbatim JSON at `steps`, none of which is [`Step::All`].
pub(super) fn find<'a>(json: &'a str, steps: &[Step]) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = Find { steps }.deserialize(&mut deserializer).ok()??;
    deserializer.end().ok()?;
    Some(found)
}

/// Walks to a value and skips everything else.
struct Find<'s> {
    steps: &'s [Step],
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.steps.is_empty() {
            return Ok(Some(<&RawValue>::deserialize(deserializer)?.get()));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(IsName(self.steps.first()))? {
            if wanted && found.is_none() {
                found = map.next_value_seed(Find { steps: &self.steps[1..] })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        match self.steps.first() {
            Some(Step::Index(index)) if *index >= 0 => {
                let mut found = None;
                for at in 0.. {
                    let element = if at == *index {
                        let element = seq.next_element_seed(Find { steps: &self.steps[1..] })?;
                        found = element.flatten();
                        element.is_some()
                    } else {
                        seq.next_element::<IgnoredAny>()?.is_some()
                    };
                    if !element {
                        break;
                    }
                }
                Ok(found)
            }
            Some(Step::Index(index)) => {
                let mut elements: Vec<&'de RawValue> = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
                let element = elements.len().checked_sub(back).map(|at| elements[at].get());
                Ok(element.and_then(|element| find(element, &self.steps[1..])))
            }
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key is the step's.
struct IsName<'s>(Option<&'s Step>);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<bool, E> {
        Ok(matches!(self.0, Some(Step::Member(member)) if member == name))
    }
}

/// The elements of an array, or the values of an object, verbatim.
struct Elements {
    objects: bool,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = seq.next_element::<&RawValue>()? {
            all.push(element.get());
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if !self.objects {
            return Err(A::Error::custom("an object"));
        }
        let mut all = Vec::new();
        while let Some((_, value)) = map.next_entry::<IgnoredAny, &RawValue>()? {
            all.push(value.get());
        }
        Ok(all)
    }
}

/// The elements of a JSON array, verbatim; none where it is something else.
pub(super) fn array(json: &str) -> Option<Vec<&str>> {
    list(json, false)
}

fn list(json: &str, objects: bool) -> Option<Vec<&str>> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let elements = Elements { objects }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(elements)
}

/// The value at a path that may have [`Step::All`] in it, which gives an array of all that match.
fn extracted<'a>(json: &'a str, steps: &[Step]) -> Option<Cow<'a, str>> {
    let Some(all) = steps.iter().position(|step| *step == Step::All) else {
        return find(json, steps).map(Cow::Borrowed);
    };
    let elements = list(find(json, &steps[..all])?, true)?;
    let matches = elements.into_iter().filter_map(|element| extracted(element, &steps[all + 1..]));
    Some(Cow::Owned(format!("[{}]", matches.collect::<Vec<_>>().join(","))))
}

/// A string without its quotes, a number or a boolean as it stands; null and what is nested are none.
pub(super) fn scalar_of(json: &str) -> Option<Cow<'_, str>> {
    match json.bytes().next()? {
        b'"' => unquoted(json),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// As [`scalar_of`], and what is nested as its JSON.
pub(super) fn text_of(json: &str) -> Option<Cow<'_, str>> {
    match json.bytes().next()? {
        b'{' | b'[' => Some(Cow::Borrowed(json)),
        _ => scalar_of(json),
    }
}

fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    match json.get(1..json.len() - 1) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// JSON text that is valid, without the blanks around it.
pub(super) fn valid_text(json: &str) -> Option<&str> {
    serde_json::from_str::<&RawValue>(json).ok().map(RawValue::get)
}

/// One text a row, of the JSON and the steps in it.
fn texts(
    call: &Call<'_>,
    path: impl Fn(&str) -> Result<Vec<Step>>,
    of: impl for<'a> Fn(&'a str, &[Step]) -> Option<Cow<'a, str>>,
) -> Result<ArrayRef> {
    let json = call.text(0)?;
    let paths = call.each(1, |text| Ok(Arc::new(path(text)?)))?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for (json, steps) in json.iter().zip(&paths) {
        out.append_option(json.zip(steps.as_ref()).and_then(|(json, steps)| of(json, steps)));
    }
    Ok(Arc::new(out.finish()))
}

fn extract(call: &Call<'_>) -> Result<ArrayRef> {
    texts(call, path, extracted)
}

fn extract_scalar(call: &Call<'_>) -> Result<ArrayRef> {
    texts(call, path, |json, steps| match extracted(json, steps)? {
        Cow::Borrowed(found) => scalar_of(found),
        Cow::Owned(_) => None,
    })
}

fn extract_string(call: &Call<'_>) -> Result<ArrayRef> {
    texts(call, duckdb_path, |json, steps| match extracted(json, steps)? {
        Cow::Borrowed(found) => text_of(found),
        owned => Some(owned),
    })
}

fn text(call: &Call<'_>) -> Result<ArrayRef> {
    texts(call, |name| Ok(vec![Step::Member(name.to_owned())]), |json, steps| text_of(find(json, steps)?))
}

fn without_map(args: &[Expr]) -> Option<Expr> {
    beneath(args, "json_extract")
}

fn without_map_scalar(args: &[Expr]) -> Option<Expr> {
    beneath(args, "json_extract_scalar")
}

/// A path into a payload's map, or into a whole record, is one into the payload's own text.
fn beneath(args: &[Expr], name: &str) -> Option<Expr> {
    let [of, given] = args else { return None };
    let function = FUNCTIONS.iter().find(|function| function.name == name)?;
    if let Some(payload) = args_of(of, &convert::JSON_MAP_FN) {
        return Some(super::call(function, vec![payload.first()?.clone(), given.clone()]));
    }
    let steps = path(literal(given)?).ok()?;
    let members = args_of(of, &convert::JSON_RECORD_FN)?;
    for member in members.chunks_exact(2) {
        let field = convert::RecordField::of(literal(&member[0])?);
        let within = steps.len() >= field.steps.len()
            && field.steps.iter().zip(&steps).all(|(name, step)| *step == Step::Member(name.clone()));
        if within && field.json {
            let rest = lit(written(&steps[field.steps.len()..]));
            return Some(super::call(function, vec![member[1].clone(), rest]));
        }
        if within && name == "json_extract_scalar" && steps.len() == field.steps.len() {
            return Some(Expr::Cast(Cast::new(Box::new(member[1].clone()), DataType::Utf8View)));
        }
    }
    None
}

/// A path as text.
fn written(steps: &[Step]) -> String {
    let steps = steps.iter().map(|step| match step {
        Step::Member(name) => format!("[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\"")),
        Step::Index(at) => format!("[{at}]"),
        Step::All => "[*]".to_owned(),
    });
    format!("${}", steps.collect::<String>())
}

fn scalar(call: &Call<'_>) -> Result<ArrayRef> {
    map_text(call, |json| text_of(valid_text(json)?))
}

fn map_text(call: &Call<'_>, of: impl for<'a> Fn(&'a str) -> Option<Cow<'a, str>>) -> Result<ArrayRef> {
    let json = call.text(0)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for json in &json {
        out.append_option(json.and_then(&of));
    }
    Ok(Arc::new(out.finish()))
}

fn ints(json: &StringViewArray, of: impl Fn(usize, &str) -> Option<i64>) -> ArrayRef {
    let mut out = Int64Builder::with_capacity(json.len());
    for (row, json) in json.iter().enumerate() {
        out.append_option(json.and_then(|json| of(row, json)));
    }
    Arc::new(out.finish())
}

fn bools(json: &StringViewArray, of: impl Fn(usize, &str) -> Option<bool>) -> ArrayRef {
    let mut out = BooleanBuilder::with_capacity(json.len());
    for (row, json) in json.iter().enumerate() {
        out.append_option(json.and_then(|json| of(row, json)));
    }
    Arc::new(out.finish())
}

fn array_length(call: &Call<'_>) -> Result<ArrayRef> {
    let paths = match call.len() {
        1 => vec![Some(Vec::new()); call.rows],
        _ => call.each(1, duckdb_path)?,
    };
    Ok(ints(&call.text(0)?, |row, json| {
        let found = find(json, paths[row].as_ref()?)?;
        Some(array(found)?.len() as i64)
    }))
}

fn array_contains(call: &Call<'_>) -> Result<ArrayRef> {
    let kind = call.data_type(1)?;
    let wanted = call.text(1)?;
    Ok(bools(&call.text(0)?, |row, json| {
        let elements = array(json)?;
        let wanted = wanted.is_valid(row).then(|| wanted.value(row))?;
        Some(elements.into_iter().any(|element| {
            let is_text = element.starts_with('"');
            is_text == kind.is_string() && scalar_of(element).is_some_and(|element| element == wanted)
        }))
    }))
}

fn array_get(call: &Call<'_>) -> Result<ArrayRef> {
    let at = call.ints(1)?;
    let json = call.text(0)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for (json, at) in json.iter().zip(&at) {
        out.append_option(json.zip(at).and_then(|(json, at)| find(json, &[Step::Index(at)])));
    }
    Ok(Arc::new(out.finish()))
}

fn size(call: &Call<'_>) -> Result<ArrayRef> {
    let paths = call.each(1, path)?;
    Ok(ints(&call.text(0)?, |row, json| {
        let found = extracted(json, paths[row].as_ref()?)?;
        Some(list(&found, true).map_or(0, |elements| elements.len() as i64))
    }))
}

fn parse(call: &Call<'_>) -> Result<ArrayRef> {
    let json = call.text(0)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for json in &json {
        out.append_option(match json {
            None => None,
            Some(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(valid) => Some(valid.get()),
                Err(error) => call.failed(|| format!("this is no JSON ({error}): {}", cut(text)))?,
            },
        });
    }
    Ok(Arc::new(out.finish()))
}

/// The start of a text, for an error.
pub(super) fn cut(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn is_scalar(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(bools(&call.text(0)?, |_, json| Some(!valid_text(json)?.starts_with(['{', '[']))))
}

fn valid(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(bools(&call.text(0)?, |_, json| Some(valid_text(json).is_some())))
}

fn type_of(call: &Call<'_>) -> Result<ArrayRef> {
    let paths = match call.len() {
        1 => vec![Some(Vec::new()); call.rows],
        _ => call.each(1, duckdb_path)?,
    };
    let json = call.text(0)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for (json, path) in json.iter().zip(&paths) {
        let found = json.zip(path.as_ref()).and_then(|(json, path)| find(json, path));
        out.append_option(found.and_then(|found| {
            Some(match found.bytes().next()? {
                b'{' => "OBJECT",
                b'[' => "ARRAY",
                b'"' => "VARCHAR",
                b't' | b'f' => "BOOLEAN",
                b'n' => "NULL",
                _ if found.contains(['.', 'e', 'E']) => "DOUBLE",
                b'-' => "BIGINT",
                _ => "UBIGINT",
            })
        }));
    }
    Ok(Arc::new(out.finish()))
}

/// Whether the second JSON value is in the first, anywhere; as DuckDB has it, with an object's members in any order.
/// Text that is no JSON is the name of a member at the top.
fn contains(call: &Call<'_>) -> Result<ArrayRef> {
    let wanted = call.each(1, |text| Ok(serde_json::from_str::<Value>(text).map_err(|_| text.to_owned())))?;
    Ok(bools(&call.text(0)?, |row, json| {
        let value: Value = serde_json::from_str(json).ok()?;
        Some(match wanted[row].as_ref()? {
            Ok(wanted) => is_in(&value, wanted),
            Err(name) => value.get(name).is_some(),
        })
    }))
}

fn is_in(value: &Value, wanted: &Value) -> bool {
    let here = match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| value.get(name).is_some_and(|value| is_in(value, wanted)))
        }
        (Value::Array(value), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| value.iter().any(|value| is_in(value, wanted)))
        }
        (value, wanted) => value == wanted,
    };
    here || match value {
        Value::Object(members) => members.values().any(|value| is_in(value, wanted)),
        Value::Array(elements) => elements.iter().any(|value| is_in(value, wanted)),
        _ => false,
    }
}

/// The elements of a JSON array, as JSON; what is no array gives null.
fn elements(call: &Call<'_>) -> Result<ArrayRef> {
    let json = call.text(0)?;
    let mut out = ListBuilder::new(StringViewBuilder::new());
    for json in &json {
        match json.and_then(array) {
            Some(elements) => {
                for element in elements {
                    out.values().append_value(element);
                }
                out.append(true);
            }
            None => out.append(false),
        }
    }
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_read_in_every_spelling() {
        let member = |name: &str| Step::Member(name.to_owned());
        for (text, steps) in [
            ("$", vec![]),
            ("$.a.b", vec![member("a"), member("b")]),
            ("$['a']", vec![member("a")]),
            ("$[\"x-amz-acl\"][0]", vec![member("x-amz-acl"), Step::Index(0)]),
            ("$.\"aws:s3:arn\".b", vec![member("aws:s3:arn"), member("b")]),
            ("$.a[*].b", vec![member("a"), Step::All, member("b")]),
            ("$.a.*", vec![member("a"), Step::All]),
            ("a.b[1]", vec![member("a"), member("b"), Step::Index(1)]),
            ("[-1]", vec![Step::Index(-1)]),
            ("lax $.a", vec![member("a")]),
            (r#"$["a\"b]"]"#, vec![member("a\"b]")]),
        ] {
            assert_eq!(path(text).unwrap(), steps, "{text}");
        }
        for wrong in ["$a", "$.", "$.a..b", "$[", "$[x]", "$[\"a]", "$.a[0", "$.\"a"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duckdb_path("a.b").unwrap(), [member("a.b")]);
        assert_eq!(duckdb_path("/a/0/x~1y").unwrap(), [member("a"), Step::Index(0), member("x/y")]);
        assert_eq!(duckdb_path("0").unwrap(), [Step::Index(0)]);
    }

    #[test]
    fn a_value_is_found_as_it_is_written() {
        let json = r#" {"a": {"b": [1, 2.50, {"c": "x\u00e9\"y"}]}, "a": 7, "n": null, "": true} "#;
        let found = |text: &str| extracted(json, &path(text).unwrap()).map(Cow::into_owned);
        for (path, expected) in [
            ("$.a.b[1]", Some("2.50")),
            ("$.a.b[-1].c", Some(r#""x\u00e9\"y""#)),
            ("$.a.b[3]", None),
            ("$.a.b.c", None),
            ("$.a[0]", None),
            ("$.n", Some("null")),
            ("$.n.x", None),
            ("$[\"\"]", Some("true")),
            ("$.a.b[*].c", Some(r#"["x\u00e9\"y"]"#)),
            ("$.missing[*]", None),
        ] {
            assert_eq!(found(path).as_deref(), expected, "{path}");
        }
        for broken in ["", "{", r#"{"a":1"#, r#"{"a":1}x"#, "{a:1}", r#"{"a":tru}"#] {
            assert_eq!(find(broken, &[Step::Member("a".to_owned())]), None, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_is_written(
            steps in proptest::collection::vec(
                prop_oneof![".*".prop_map(Step::Member), any::<i64>().prop_map(Step::Index), Just(Step::All)], 0..5),
        ) {
            prop_assert_eq!(path(&written(&steps)).unwrap(), steps);
        }

        #[test]
        fn what_is_put_under_a_path_is_found_there(
            steps in proptest::collection::vec(
                prop_oneof![".*".prop_map(Step::Member), (0..3_i64).prop_map(Step::Index)], 0..5),
            text in ".*",
        ) {
            let value = serde_json::to_string(&text).unwrap();
            let json = steps.iter().rev().fold(value, |value, step| match step {
                Step::Member(name) => format!("{{\"?\": 0, {}: {value}}}", serde_json::to_string(name).unwrap()),
                Step::Index(at) => format!("[{} {value}]", "[],".repeat(*at as usize)),
                Step::All => value,
            });
            prop_assume!(!steps.contains(&Step::Member("?".to_owned())));
            let found = find(&json, &steps).unwrap();
            prop_assert_eq!(scalar_of(found).unwrap(), text);
        }
    }
}
