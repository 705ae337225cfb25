//! Maps, lists and structs, as Trino reads them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Int64Array, ListArray, MapArray, StringViewArray, StructArray,
    UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::{Call, Function, Returns, args_of, call, convert, json};

pub(super) const FUNCTIONS: &[Function] = &[
    ELEMENT_AT,
    Function::new("contains", (2, 2), Returns::Bool, contains),
    Function::new("unnest_list", (1, 1), Returns::Of(|types, _| list_type(types)), unnest_list),
    Function::new("zip_lists", (1, usize::MAX), Returns::Of(|types, _| zip_type(types)), zip_lists),
    Function::new("with_ordinality", (1, 1), Returns::Of(|types, _| ordinal_type(types)), with_ordinality),
    Function::new("null_if_none", (1, 1), Returns::Of(|types, _| list_type(types)), null_if_none),
    Function::new("row_field", (2, 2), Returns::Of(row_field_type), row_field),
];

/// `element_at(of, key)`: a map's value, a list's element (from 1, or from the end), a struct's field, a member of a
/// JSON object as text; null where there is none.
const ELEMENT_AT: Function = {
    let mut function =
        Function::new("element_at", (2, 2), Returns::Of(|types, _| element_type(types)), element_at)
            .fails()
            .simplify(member_of_payload);
    function.accessor = true;
    function
};
static ELEMENT_AT_FN: Function = ELEMENT_AT;

fn element_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types.first() {
        Some(DataType::Map(entries, _)) => match entries.data_type() {
            DataType::Struct(fields) => fields[1].data_type().clone(),
            other => return plan_err!("a map of {other}"),
        },
        Some(DataType::List(item)) => item.data_type().clone(),
        Some(DataType::Null) => DataType::Null,
        Some(text) if text.is_string() => DataType::Utf8View,
        _ => return plan_err!("element_at reads maps, arrays and JSON text"),
    })
}

/// `element_at(json_map(json), 'k')` needs no map.
fn member_of_payload(args: &[Expr]) -> Option<Expr> {
    let [map, key] = args else { return None };
    let payload = args_of(map, &convert::JSON_MAP_FN)?.first()?;
    Some(call(&json::JSON_TEXT_FN, vec![payload.clone(), key.clone()]))
}

/// `map['k']` as `element_at(map, 'k')`, which may then be simplified.
#[derive(Debug)]
pub(super) struct MapSubscripts;

impl FunctionRewrite for MapSubscripts {
    fn name(&self) -> &str {
        "map_subscripts"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        if let Expr::ScalarFunction(access) = &expr
            && access.func.name() == "get_field"
            && let [map, key] = access.args.as_slice()
            && matches!(map.get_type(schema)?, DataType::Map(..))
        {
            return Ok(Transformed::yes(call(&ELEMENT_AT_FN, vec![map.clone(), key.clone()])));
        }
        Ok(Transformed::no(expr))
    }
}

fn element_at(call: &Call<'_>) -> Result<ArrayRef> {
    let of = call.array(0)?;
    match of.data_type() {
        DataType::Map(..) => {
            let maps = of.as_map();
            let keys = cast(maps.keys(), &DataType::Utf8View)?;
            let keys = keys.as_string_view();
            let wanted = call.text(1)?;
            let indices: UInt64Array = (0..call.rows)
                .map(|row| {
                    if maps.is_null(row) || wanted.is_null(row) {
                        return None;
                    }
                    let mut range = range(maps.value_offsets(), row);
                    range.find(|at| keys.value(*at) == wanted.value(row)).map(|at| at as u64)
                })
                .collect();
            Ok(take(maps.values(), &indices, None)?)
        }
        DataType::List(_) => {
            let lists = of.as_list::<i32>();
            let wanted = call.ints(1)?;
            let mut indices = Vec::with_capacity(call.rows);
            for row in 0..call.rows {
                if lists.is_null(row) || wanted.is_null(row) {
                    indices.push(None);
                    continue;
                }
                let range = range(lists.value_offsets(), row);
                let index = match wanted.value(row) {
                    0 => call.failed(|| "array elements are counted from 1".to_owned())?,
                    wanted if wanted > 0 => Some(range.start as i64 + wanted - 1),
                    wanted => Some(range.end as i64 + wanted),
                };
                let inside = index.filter(|at| *at >= range.start as i64 && *at < range.end as i64);
                indices.push(inside.map(|at| at as u64));
            }
            Ok(take(lists.values(), &UInt64Array::from(indices), None)?)
        }
        DataType::Null => Ok(new_null_array(&DataType::Null, call.rows)),
        _ => {
            let (json, keys) = (call.text(0)?, call.text(1)?);
            let members = json.iter().zip(&keys).map(|(json, key)| {
                let step = json::Step::Member(key?.to_owned());
                Some(json::text_of(json::find(json?, &[step])?)?.into_owned())
            });
            Ok(Arc::new(members.collect::<StringViewArray>()))
        }
    }
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

/// Trino's `contains(array, value)`: null where it is not found and the array has a null. Of two texts, whether the
/// second is within the first.
fn contains(call: &Call<'_>) -> Result<ArrayRef> {
    let mut out = BooleanBuilder::with_capacity(call.rows);
    let of = call.array(0)?;
    if let DataType::List(item) = of.data_type() {
        let lists = of.as_list::<i32>();
        let wanted = cast(&cast(&call.array(1)?, item.data_type())?, &DataType::Utf8View)?;
        let wanted = wanted.as_string_view();
        let elements = cast(lists.values(), &DataType::Utf8View)?;
        let elements = elements.as_string_view();
        for row in 0..call.rows {
            if lists.is_null(row) || wanted.is_null(row) {
                out.append_null();
                continue;
            }
            let mut range = range(lists.value_offsets(), row);
            let found =
                range.clone().any(|at| elements.is_valid(at) && elements.value(at) == wanted.value(row));
            out.append_option(if found || !range.any(|at| elements.is_null(at)) {
                Some(found)
            } else {
                None
            });
        }
    } else {
        for (text, part) in call.text(0)?.iter().zip(&call.text(1)?) {
            out.append_option(text.zip(part).map(|(text, part)| text.contains(part)));
        }
    }
    Ok(Arc::new(out.finish()))
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

fn list_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types.first() {
        Some(DataType::List(inside)) => DataType::List(item(inside.data_type().clone())),
        Some(DataType::Map(entries, _)) => DataType::List(item(entries.data_type().clone())),
        Some(DataType::Null) => DataType::List(item(DataType::Null)),
        Some(text) if text.is_string() => super::texts_type(),
        Some(other) => return plan_err!("UNNEST takes arrays, maps and JSON arrays, not {other}"),
        None => return plan_err!("UNNEST takes an array"),
    })
}

/// What `UNNEST` makes rows of: a list, a map's entries, the elements of a JSON array. Nothing where it is null.
fn unnest_list(call: &Call<'_>) -> Result<ArrayRef> {
    let of = call.array(0)?;
    let (offsets, values, nulls): (OffsetBuffer<i32>, ArrayRef, Option<NullBuffer>) = match of.data_type() {
        DataType::List(_) => {
            let lists = of.as_list::<i32>();
            (lists.offsets().clone(), lists.values().clone(), lists.nulls().cloned())
        }
        DataType::Map(..) => {
            let maps: &MapArray = of.as_map();
            (maps.offsets().clone(), Arc::new(maps.entries().clone()), maps.nulls().cloned())
        }
        DataType::Null => {
            let offsets = OffsetBuffer::from_lengths(vec![0; call.rows]);
            (offsets, new_null_array(&DataType::Null, 0), None)
        }
        _ => {
            let json = call.text(0)?;
            let arrays: Vec<Vec<&str>> =
                json.iter().map(|json| json.and_then(json::array).unwrap_or_default()).collect();
            let offsets = OffsetBuffer::from_lengths(arrays.iter().map(Vec::len));
            let elements = StringViewArray::from_iter_values(arrays.into_iter().flatten());
            (offsets, Arc::new(elements), None)
        }
    };
    let DataType::List(inside) = call.returns else {
        return exec_err!("unnest_list gives a list");
    };
    // A null list may have elements beneath: they are left out.
    if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
        let mut kept = Vec::new();
        let mut lengths = Vec::with_capacity(call.rows);
        for row in 0..call.rows {
            let range = if nulls.is_valid(row) { range(&offsets, row) } else { 0..0 };
            lengths.push(range.len());
            kept.extend(range.map(|at| at as u64));
        }
        let values = take(&values, &UInt64Array::from(kept), None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        return Ok(Arc::new(ListArray::try_new(inside.clone(), offsets, values, None)?));
    }
    Ok(Arc::new(ListArray::try_new(inside.clone(), offsets, values, None)?))
}

fn zip_type(types: &[DataType]) -> Result<DataType> {
    let fields = types.iter().enumerate().map(|(at, data_type)| match data_type {
        DataType::List(item) => Ok(Field::new(format!("c{at}"), item.data_type().clone(), true)),
        other => plan_err!("UNNEST takes arrays, not {other}"),
    });
    Ok(DataType::List(item(DataType::Struct(fields.collect::<Result<Fields>>()?))))
}

/// Lists side by side; the shorter ones are filled up with nulls.
fn zip_lists(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = (0..call.len()).map(|at| call.array(at)).collect::<Result<Vec<_>>>()?;
    let lists: Vec<&ListArray> = lists.iter().map(|list| list.as_list::<i32>()).collect();
    let lengths: Vec<usize> = (0..call.rows)
        .map(|row| lists.iter().map(|list| range(list.value_offsets(), row).len()).max().unwrap_or(0))
        .collect();
    let DataType::List(inside) = call.returns else { return exec_err!("zip_lists gives a list") };
    let DataType::Struct(fields) = inside.data_type() else { return exec_err!("zip_lists gives structs") };
    let mut columns = Vec::with_capacity(lists.len());
    for list in &lists {
        let mut indices: Vec<Option<u64>> = Vec::new();
        for (row, length) in lengths.iter().enumerate() {
            let range = range(list.value_offsets(), row);
            indices.extend((0..*length).map(|at| (at < range.len()).then_some((range.start + at) as u64)));
        }
        columns.push(take(list.values(), &UInt64Array::from(indices), None)?);
    }
    let rows = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(ListArray::try_new(
        inside.clone(),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(rows),
        None,
    )?))
}

fn ordinal_type(types: &[DataType]) -> Result<DataType> {
    let Some(DataType::List(inside)) = types.first() else {
        return plan_err!("WITH ORDINALITY counts the elements of an array");
    };
    let mut fields: Vec<Field> = match inside.data_type() {
        DataType::Struct(fields) => fields.iter().map(|field| field.as_ref().clone()).collect(),
        other => vec![Field::new("c0", other.clone(), true)],
    };
    fields.push(Field::new("ordinality", DataType::Int64, false));
    Ok(DataType::List(item(DataType::Struct(fields.into()))))
}

fn with_ordinality(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.array(0)?;
    let lists = lists.as_list::<i32>();
    let DataType::List(inside) = call.returns else { return exec_err!("with_ordinality gives a list") };
    let DataType::Struct(fields) = inside.data_type() else {
        return exec_err!("with_ordinality gives structs");
    };
    let all = lists.value_offsets()[0] as usize..lists.value_offsets()[call.rows] as usize;
    let values = lists.values().slice(all.start, all.len());
    let mut columns = match values.as_struct_opt() {
        Some(rows) => rows.columns().to_vec(),
        None => vec![values],
    };
    let lengths: Vec<usize> = (0..call.rows).map(|row| range(lists.value_offsets(), row).len()).collect();
    let numbers: Int64Array = lengths.iter().flat_map(|length| 1..=*length as i64).collect();
    columns.push(Arc::new(numbers));
    let rows = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(ListArray::try_new(
        inside.clone(),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(rows),
        None,
    )?))
}

/// Lists that are empty as lists of one null.
fn null_if_none(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.array(0)?;
    let lists = lists.as_list::<i32>();
    let DataType::List(inside) = call.returns else { return exec_err!("null_if_none gives a list") };
    let mut indices: Vec<Option<u64>> = Vec::new();
    let mut lengths = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let range = range(lists.value_offsets(), row);
        lengths.push(range.len().max(1));
        if range.is_empty() {
            indices.push(None);
        }
        indices.extend(range.map(|at| Some(at as u64)));
    }
    let values = take(lists.values(), &UInt64Array::from(indices), None)?;
    Ok(Arc::new(ListArray::try_new(inside.clone(), OffsetBuffer::from_lengths(lengths), values, None)?))
}

fn row_field_type(types: &[DataType], constants: &[Option<&ScalarValue>]) -> Result<DataType> {
    let at = match constants.get(1) {
        Some(Some(ScalarValue::Int64(Some(at)))) => usize::try_from(*at - 1).unwrap_or(usize::MAX),
        _ => return plan_err!("row_field takes a constant number"),
    };
    match types.first() {
        Some(DataType::Struct(fields)) => match fields.get(at) {
            Some(field) => Ok(field.data_type().clone()),
            None => plan_err!("the row has {} columns, and {} are named", fields.len(), at + 1),
        },
        Some(other) if at == 0 => Ok(other.clone()),
        _ => plan_err!("more columns are named than UNNEST gives"),
    }
}

fn row_field(call: &Call<'_>) -> Result<ArrayRef> {
    let rows = call.array(0)?;
    let at = call.ints(1)?.value(0);
    match rows.as_struct_opt() {
        Some(fields) => {
            let column = fields.column(usize::try_from(at - 1).unwrap_or(usize::MAX));
            let nulls = NullBuffer::union(fields.nulls(), column.nulls());
            Ok(arrow::array::make_array(column.to_data().into_builder().nulls(nulls).build()?))
        }
        None => Ok(rows),
    }
}
