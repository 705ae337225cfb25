//! Reading into JSON text by path, as Trino, DuckDB and PostgreSQL do.
//!
//! Text that is no JSON, like a path to nothing, gives null; only `json_parse` says what is wrong with it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, lit};
use serde_json::Value;
use serde_json::value::RawValue;

use super::path::{Step, array, duckdb_path, extracted, find, list, path, scalar_of, text_of, written};
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
