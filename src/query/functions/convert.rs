//! JSON text into Arrow values of a type that SQL names, and any Arrow value into JSON text.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, MapBuilder, MapFieldNames, StringViewArray,
    StringViewBuilder, StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Result, ScalarValue, plan_err};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{self, cut, text_of};
use super::{Call, Function, Returns};

pub(super) const FUNCTIONS: &[Function] = &[
    JSON_MAP,
    JSON_RECORD,
    Function::new("to_json", (1, 1), Returns::Text, |call| Ok(Arc::new(to_json(&call.array(0)?)?)))
        .also(&["array_to_json", "row_to_json"]),
    // As `to_json`, without the members that are null
    Function::new("json_present", (1, 1), Returns::Text, |call| {
        Ok(Arc::new(written(&call.array(0)?, false)?))
    }),
    Function::new("cast_to_json", (1, 1), Returns::Text, cast_to_json),
    Function::new("json_cast", (2, 2), Returns::Of(cast_type), json_cast).fails(),
    Function::new("from_json", (2, 2), Returns::Of(structure_type), from_json).also(&["json_transform"]),
];

/// `json_record('a.b', x, 'c:json', y)`: an object of members by path, of which some are JSON already. What is null is
/// left out.
const JSON_RECORD: Function = Function::new("json_record", (2, usize::MAX), Returns::Text, json_record);
pub(super) static JSON_RECORD_FN: Function = JSON_RECORD;

/// `json_map(json)`: an object as a map of text, what is nested in it as JSON.
const JSON_MAP: Function = Function::new("json_map", (1, 1), Returns::TextMap, json_map);
pub(super) static JSON_MAP_FN: Function = JSON_MAP;

/// The type of a payload's map.
pub(super) fn text_map() -> DataType {
    static TYPE: LazyLock<DataType> = LazyLock::new(|| map_type(DataType::Utf8View));
    TYPE.clone()
}

fn map_type(value: DataType) -> DataType {
    let entry = DataType::Struct(Fields::from(vec![
        Field::new("key", DataType::Utf8View, false),
        Field::new("value", value, true),
    ]));
    DataType::Map(Arc::new(Field::new("entries", entry, false)), false)
}

/// The members of a JSON object, verbatim, the first of each name; none where it is something else.
fn object(json: &str) -> Option<Vec<(String, &str)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all: Self::Value = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                if !all.iter().any(|(known, _)| *known == name) {
                    all.push((name, value.get()));
                }
            }
            Ok(all)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(json);
    let members = deserializer.deserialize_map(Members).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

/// Where a value of a record goes.
pub(super) struct RecordField {
    pub(super) steps: Vec<String>,
    pub(super) json: bool,
}

impl RecordField {
    pub(super) fn of(name: &str) -> RecordField {
        let (path, json) = match name.strip_suffix(":json") {
            Some(path) => (path, true),
            None => (name, false),
        };
        RecordField { steps: path.split('.').map(str::to_owned).collect(), json }
    }
}

fn json_record(call: &Call<'_>) -> Result<ArrayRef> {
    let mut fields = Vec::with_capacity(call.len() / 2);
    for at in (0..call.len() - 1).step_by(2) {
        let name = call.each(at, |name| Ok(name.to_owned()))?;
        let Some(Some(name)) = name.first() else { return plan_err!("a member's name is a constant text") };
        let value = call.array(at + 1)?;
        let field = RecordField::of(name);
        let value = if field.json { call.text(at + 1)? } else { to_json(&value)? };
        fields.push((field.steps, value));
    }
    let mut out = StringViewBuilder::with_capacity(call.rows);
    let mut text = String::new();
    for row in 0..call.rows {
        text.clear();
        text.push('{');
        let mut open: &[String] = &[];
        for (steps, value) in fields.iter().filter(|(_, value)| value.is_valid(row)) {
            let Some((name, objects)) = steps.split_last() else { continue };
            let common = open.iter().zip(objects).take_while(|(open, object)| open == object).count();
            text.extend(std::iter::repeat_n('}', open.len() - common));
            if !text.ends_with('{') {
                text.push(',');
            }
            for object in &objects[common..] {
                text += &quoted(object);
                text += ":{";
            }
            open = objects;
            text += &quoted(name);
            text.push(':');
            text += value.value(row);
        }
        text.extend(std::iter::repeat_n('}', open.len() + 1));
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

fn json_map(call: &Call<'_>) -> Result<ArrayRef> {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut out = MapBuilder::new(Some(names), StringViewBuilder::new(), StringViewBuilder::new());
    for json in &call.text(0)? {
        let members = json.and_then(object);
        for (name, value) in members.iter().flatten() {
            out.keys().append_value(name);
            out.values().append_option(text_of(value));
        }
        out.append(members.is_some())?;
    }
    Ok(Arc::new(out.finish()))
}

/// Text that is a JSON object or array stays what it is; other text becomes a JSON string.
fn cast_to_json(call: &Call<'_>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    if !array.data_type().is_string() {
        return Ok(Arc::new(to_json(&array)?));
    }
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for text in &call.text(0)? {
        match text {
            None => out.append_null(),
            Some(text) => {
                let nested = text.trim_start().starts_with(['{', '['])
                    && serde_json::from_str::<&RawValue>(text).is_ok();
                if nested { out.append_value(text) } else { out.append_value(quoted(text)) }
            }
        }
    }
    Ok(Arc::new(out.finish()))
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// Every value as JSON text. SQL's null stays null at the top, and becomes JSON's below it.
pub(super) fn to_json(array: &ArrayRef) -> Result<StringViewArray> {
    written(array, true)
}

fn written(array: &ArrayRef, nulls: bool) -> Result<StringViewArray> {
    let mut out = StringViewBuilder::with_capacity(array.len());
    let writer = Writer::new(array, nulls)?;
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) || array.data_type() == &DataType::Null {
            out.append_null();
            continue;
        }
        text.clear();
        writer.write(row, &mut text)?;
        out.append_value(&text);
    }
    Ok(out.finish())
}

/// Writes the values of one array as JSON.
enum Writer<'a> {
    Text(StringViewArray),
    /// What reads the same in JSON.
    Bare(&'a ArrayRef, ArrayFormatter<'a>),
    Quoted(&'a ArrayRef, ArrayFormatter<'a>),
    List(ListArray, ArrayRef, bool),
    Map(&'a MapArray, bool),
    /// Whether members that are null are written.
    Struct(&'a StructArray, bool),
}

impl<'a> Writer<'a> {
    fn new(array: &'a ArrayRef, nulls: bool) -> Result<Writer<'a>> {
        static OPTIONS: FormatOptions<'static> = FormatOptions::new();
        let formatter = || ArrayFormatter::try_new(array.as_ref(), &OPTIONS);
        Ok(match array.data_type() {
            data_type if data_type.is_string() => {
                Writer::Text(cast(array, &DataType::Utf8View)?.as_string_view().clone())
            }
            DataType::Null | DataType::Boolean => Writer::Bare(array, formatter()?),
            data_type if data_type.is_numeric() => Writer::Bare(array, formatter()?),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                let lists = cast(array, &DataType::List(item.clone()))?;
                Writer::List(lists.as_list().clone(), lists.as_list::<i32>().values().clone(), nulls)
            }
            DataType::Map(..) => Writer::Map(array.as_map(), nulls),
            DataType::Struct(_) => Writer::Struct(array.as_struct(), nulls),
            _ => Writer::Quoted(array, formatter()?),
        })
    }

    fn write(&self, row: usize, out: &mut String) -> Result<()> {
        match self {
            Writer::Text(texts) if texts.is_null(row) => *out += "null",
            Writer::Text(texts) => *out += &quoted(texts.value(row)),
            Writer::Bare(array, _) | Writer::Quoted(array, _) if array.is_null(row) => *out += "null",
            Writer::Bare(_, formatter) => match formatter.value(row).to_string() {
                text if ["NaN", "inf", "-inf", ""].contains(&text.as_str()) => *out += "null",
                text => *out += &text,
            },
            Writer::Quoted(_, formatter) => *out += &quoted(&formatter.value(row).to_string()),
            Writer::List(lists, ..) if lists.is_null(row) => *out += "null",
            Writer::List(lists, values, nulls) => {
                let writer = Writer::new(values, *nulls)?;
                let range = lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize;
                between(out, '[', range, ']', |at, out| writer.write(at, out))?;
            }
            Writer::Map(maps, _) if maps.is_null(row) => *out += "null",
            Writer::Map(maps, nulls) => {
                let keys = cast(maps.keys(), &DataType::Utf8View)?;
                let keys = keys.as_string_view();
                let writer = Writer::new(maps.values(), *nulls)?;
                let range = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
                between(out, '{', range, '}', |at, out| {
                    *out += &quoted(keys.value(at));
                    out.push(':');
                    writer.write(at, out)
                })?;
            }
            Writer::Struct(rows, _) if rows.is_null(row) => *out += "null",
            Writer::Struct(rows, nulls) => {
                let there = |at: &usize| *nulls || rows.column(*at).is_valid(row);
                let members: Vec<usize> = (0..rows.num_columns()).filter(there).collect();
                between(out, '{', 0..members.len(), '}', |at, out| {
                    *out += &quoted(rows.column_names()[members[at]]);
                    out.push(':');
                    Writer::new(rows.column(members[at]), *nulls)?.write(row, out)
                })?;
            }
        }
        Ok(())
    }
}

fn between(
    out: &mut String,
    open: char,
    range: std::ops::Range<usize>,
    close: char,
    mut write: impl FnMut(usize, &mut String) -> Result<()>,
) -> Result<()> {
    out.push(open);
    for at in range.clone() {
        if at > range.start {
            out.push(',');
        }
        write(at, out)?;
    }
    out.push(close);
    Ok(())
}

fn cast_type(_: &[DataType], constants: &[Option<&ScalarValue>]) -> Result<DataType> {
    let Some(Some(text)) = constants.get(1).map(|text| text.and_then(|text| text.try_as_str().flatten()))
    else {
        return plan_err!("json_cast takes a type as a constant text");
    };
    match sql_type(text) {
        Some(data_type) => Ok(data_type),
        None => plan_err!("{text} is no type that JSON can be cast to"),
    }
}

fn structure_type(_: &[DataType], constants: &[Option<&ScalarValue>]) -> Result<DataType> {
    let Some(Some(text)) = constants.get(1).map(|text| text.and_then(|text| text.try_as_str().flatten()))
    else {
        return plan_err!("from_json takes a structure as a constant text");
    };
    match serde_json::from_str(text).ok().and_then(|structure| structured(&structure)) {
        Some(data_type) => Ok(data_type),
        None => {
            plan_err!("{text} is no structure: write it as '[\"VARCHAR\"]' or '{{\"name\": \"VARCHAR\"}}'")
        }
    }
}

/// The type that DuckDB's `from_json` describes in JSON.
fn structured(structure: &serde_json::Value) -> Option<DataType> {
    match structure {
        serde_json::Value::String(name) => sql_type(name),
        serde_json::Value::Array(elements) => Some(DataType::List(item(structured(elements.first()?)?))),
        serde_json::Value::Object(members) => {
            let fields = members.iter().map(|(name, of)| Some(Field::new(name, structured(of)?, true)));
            Some(DataType::Struct(fields.collect::<Option<Fields>>()?))
        }
        _ => None,
    }
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

/// The type that SQL text names, in Trino's, DuckDB's or PostgreSQL's spelling.
pub(super) fn sql_type(text: &str) -> Option<DataType> {
    let text = text.trim();
    if let Some(element) = text.strip_suffix("[]") {
        return Some(DataType::List(item(sql_type(element)?)));
    }
    let open = text.find(['(', '<']);
    let (name, inside) = match open {
        Some(open) if text.ends_with([')', '>']) => (&text[..open], Some(&text[open + 1..text.len() - 1])),
        Some(_) => return None,
        None => (text, None),
    };
    let name = name.trim().to_ascii_uppercase();
    Some(match (name.as_str(), inside) {
        ("VARCHAR" | "TEXT" | "STRING" | "CHAR" | "JSON", _) => DataType::Utf8View,
        ("BIGINT" | "INT8", None) => DataType::Int64,
        ("INTEGER" | "INT" | "INT4" | "SMALLINT" | "TINYINT", None) => DataType::Int32,
        ("DOUBLE" | "REAL" | "FLOAT" | "FLOAT8" | "DOUBLE PRECISION" | "DECIMAL" | "NUMERIC", _) => {
            DataType::Float64
        }
        ("BOOLEAN" | "BOOL", None) => DataType::Boolean,
        ("DATE", None) => DataType::Date32,
        ("TIMESTAMP", _) => super::time::local(),
        ("ARRAY" | "LIST", Some(element)) => DataType::List(item(sql_type(element)?)),
        ("MAP", Some(inside)) => match split(inside).as_slice() {
            [key, value] if sql_type(key)?.is_string() => map_type(sql_type(value)?),
            _ => return None,
        },
        ("ROW" | "STRUCT", Some(inside)) => {
            let fields = split(inside).into_iter().enumerate().map(|(at, field)| {
                let field = field.trim();
                let named = field.split_once([' ', ':']).filter(|(name, _)| !name.contains(['(', '<']));
                let (name, data_type) = match named {
                    Some((name, data_type)) => (name.trim_matches('"').to_owned(), data_type),
                    None => (format!("field{at}"), field),
                };
                Some(Field::new(name, sql_type(data_type)?, true))
            });
            DataType::Struct(fields.collect::<Option<Fields>>()?)
        }
        _ => return None,
    })
}

/// The parts between the commas that no bracket surrounds.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, char) in text.char_indices() {
        match char {
            '(' | '<' => depth += 1,
            ')' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// DuckDB's: what is of another form than the structure says is null.
fn from_json(call: &Call<'_>) -> Result<ArrayRef> {
    let json = call.text(0)?;
    let values: Vec<Option<&str>> = json.iter().map(|json| json.and_then(json::valid_text)).collect();
    built(&values, call.returns, &|_| Ok(()))
}

/// Trino's cast: what is of another form is an error. As text anything goes, what is nested as its JSON.
fn json_cast(call: &Call<'_>) -> Result<ArrayRef> {
    let json = call.text(0)?;
    let mut values = Vec::with_capacity(call.rows);
    for json in &json {
        values.push(match json {
            None => None,
            Some(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => Some(value.get()),
                // A cast of what a payload's map holds: its texts are not quoted there.
                Err(_) if call.returns.is_string() => Some(text),
                Err(error) => call.failed(|| format!("this is no JSON ({error}): {}", cut(text)))?,
            },
        });
    }
    built(&values, call.returns, &|value| {
        let data_type = || call.text(1).map(|text| text.value(0).to_owned()).unwrap_or_default();
        call.failed::<()>(|| format!("{} cannot be cast to {}", cut(value), data_type())).map(|_| ())
    })
}

/// Values of the type, null where the JSON is of another form, unless `wrong` objects.
fn built(
    values: &[Option<&str>],
    data_type: &DataType,
    wrong: &dyn Fn(&str) -> Result<()>,
) -> Result<ArrayRef> {
    let check = |row: usize, fits: bool| match values[row].and_then(not_null) {
        Some(value) if !fits => wrong(value),
        _ => Ok(()),
    };
    Ok(match data_type {
        DataType::List(item) => {
            let lists: Vec<Option<Vec<&str>>> =
                values.iter().map(|value| value.and_then(json::array)).collect();
            (0..values.len()).try_for_each(|row| check(row, lists[row].is_some()))?;
            let offsets =
                OffsetBuffer::from_lengths(lists.iter().map(|list| list.as_ref().map_or(0, Vec::len)));
            let nulls: NullBuffer = lists.iter().map(Option::is_some).collect::<Vec<_>>().into();
            let elements: Vec<Option<&str>> = lists.into_iter().flatten().flatten().map(not_null).collect();
            Arc::new(ListArray::try_new(
                item.clone(),
                offsets,
                built(&elements, item.data_type(), wrong)?,
                Some(nulls),
            )?)
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return Ok(new_null_array(data_type, values.len()));
            };
            let objects: Vec<Option<Vec<(String, &str)>>> =
                values.iter().map(|value| value.and_then(object)).collect();
            (0..values.len()).try_for_each(|row| check(row, objects[row].is_some()))?;
            let offsets =
                OffsetBuffer::from_lengths(objects.iter().map(|all| all.as_ref().map_or(0, Vec::len)));
            let nulls: NullBuffer = objects.iter().map(Option::is_some).collect::<Vec<_>>().into();
            let (keys, members): (Vec<String>, Vec<Option<&str>>) =
                objects.into_iter().flatten().flatten().map(|(name, value)| (name, not_null(value))).unzip();
            let keys: ArrayRef = Arc::new(StringViewArray::from_iter_values(keys));
            let members = built(&members, fields[1].data_type(), wrong)?;
            let entry = StructArray::try_new(fields.clone(), vec![keys, members], None)?;
            Arc::new(MapArray::try_new(entries.clone(), offsets, entry, Some(nulls), false)?)
        }
        DataType::Struct(fields) => {
            let objects: Vec<Option<Vec<(String, &str)>>> =
                values.iter().map(|value| value.and_then(object)).collect();
            let arrays: Vec<Option<Vec<&str>>> =
                values.iter().map(|value| value.and_then(json::array)).collect();
            (0..values.len())
                .try_for_each(|row| check(row, objects[row].is_some() || arrays[row].is_some()))?;
            let mut columns = Vec::with_capacity(fields.len());
            for (at, field) in fields.iter().enumerate() {
                let of_row = |row: usize| {
                    let named = objects[row].as_ref().and_then(|members| {
                        members.iter().find(|(name, _)| name.eq_ignore_ascii_case(field.name()))
                    });
                    let value = named.map(|(_, value)| *value);
                    value.or_else(|| arrays[row].as_ref()?.get(at).copied()).and_then(not_null)
                };
                let column: Vec<Option<&str>> = (0..values.len()).map(of_row).collect();
                columns.push(built(&column, field.data_type(), wrong)?);
            }
            let nulls: NullBuffer = objects
                .iter()
                .zip(&arrays)
                .map(|(object, array)| object.is_some() || array.is_some())
                .collect::<Vec<_>>()
                .into();
            Arc::new(StructArray::try_new(fields.clone(), columns, Some(nulls))?)
        }
        DataType::Null => new_null_array(data_type, values.len()),
        scalar => {
            let texts: StringViewArray = values.iter().map(|value| value.and_then(text_of)).collect();
            let made = cast(&texts, scalar)?;
            (0..values.len()).try_for_each(|row| check(row, made.is_valid(row)))?;
            made
        }
    })
}

fn not_null(json: &str) -> Option<&str> {
    (json != "null").then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_in_every_spelling() {
        let texts = DataType::List(item(DataType::Utf8View));
        for spelled in ["ARRAY(VARCHAR)", "array<varchar>", "ARRAY ( VARCHAR )", "VARCHAR[]", "array(json)"] {
            assert_eq!(sql_type(spelled), Some(texts.clone()), "{spelled}");
        }
        assert_eq!(sql_type("MAP(VARCHAR, JSON)"), Some(text_map()));
        assert_eq!(sql_type("map<varchar,array(varchar)>"), Some(map_type(texts.clone())));
        let row = Fields::from(vec![
            Field::new("cidrIp", DataType::Utf8View, true),
            Field::new("ports", DataType::List(item(DataType::Int64)), true),
        ]);
        assert_eq!(sql_type("ROW(cidrIp VARCHAR, ports ARRAY(BIGINT))"), Some(DataType::Struct(row)));
        for wrong in ["", "ARRAY(", "MAP(VARCHAR)", "MAP(BIGINT, VARCHAR)", "WIBBLE", "ROW(a WIBBLE)"] {
            assert_eq!(sql_type(wrong), None, "{wrong}");
        }
    }
}
