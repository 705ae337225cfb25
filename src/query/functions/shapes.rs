//! What views are written with: structs that are null where nothing is in them, and times as the text that CloudTrail
//! delivers. Predicates on either become predicates on the columns beneath, which statistics and bloom filters know.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use chrono::{DateTime, SecondsFormat};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::logical_expr::expr::{Cast, Like, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::time::micros;
use super::{Call, Function, Returns, args_of, literal};

pub(super) const FUNCTIONS: &[Function] = &[NULLABLE_STRUCT, EVENT_TIME_TEXT, TO_UNIXTIME_MS];

/// `nullable_struct('a', x, 'b', y)`: null where every member is, else `named_struct`'s value.
static NULLABLE_STRUCT_FN: Function = NULLABLE_STRUCT;
const NULLABLE_STRUCT: Function =
    Function::new("nullable_struct", (2, usize::MAX), Returns::Of(struct_type), nullable_struct);

/// `event_time_text(t)`: `2026-03-01T12:34:56Z`, whole seconds, as events are delivered.
const EVENT_TIME_TEXT: Function = {
    let mut function = Function::new("event_time_text", (1, 1), Returns::Text, event_time_text);
    function.preimage = Some(times_of_text);
    function
};
pub(super) static EVENT_TIME_TEXT_FN: Function = EVENT_TIME_TEXT;

/// `to_unixtime_ms(t)`: milliseconds since 1970.
const TO_UNIXTIME_MS: Function = Function::new("to_unixtime_ms", (1, 1), Returns::Int, |call| {
    Ok(Arc::new(micros(call, 0)?.unary::<_, arrow::datatypes::Int64Type>(|micros| micros.div_euclid(1000))))
});

fn struct_type(types: &[DataType], constants: &[Option<&ScalarValue>]) -> Result<DataType> {
    let mut fields = Vec::with_capacity(types.len() / 2);
    for (pair, constant) in types.chunks(2).zip(constants.chunks(2)) {
        let ([_, data_type], Some(Some(name))) =
            (pair, constant.first().map(|name| name.and_then(|name| name.try_as_str().flatten())))
        else {
            return plan_err!("nullable_struct takes names, which are constants, and values");
        };
        fields.push(Field::new(name, data_type.clone(), true));
    }
    Ok(DataType::Struct(Fields::from(fields)))
}

fn nullable_struct(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::Struct(fields) = call.returns else {
        return plan_err!("nullable_struct gives a struct");
    };
    let members = (0..fields.len()).map(|at| call.array(2 * at + 1)).collect::<Result<Vec<_>>>()?;
    let some: NullBuffer = (0..call.rows)
        .map(|row| members.iter().any(|member| !is_null(member, row)))
        .collect::<Vec<bool>>()
        .into();
    Ok(Arc::new(StructArray::try_new(fields.clone(), members, Some(some))?))
}

fn is_null(array: &ArrayRef, row: usize) -> bool {
    array.is_null(row) || array.data_type() == &DataType::Null
}

fn event_time_text(call: &Call<'_>) -> Result<ArrayRef> {
    let mut texts = StringViewBuilder::with_capacity(call.rows);
    for time in &micros(call, 0)? {
        texts.append_option(time.and_then(|time| text_of(time.div_euclid(1_000_000))));
    }
    Ok(Arc::new(texts.finish()))
}

fn text_of(second: i64) -> Option<String> {
    Some(DateTime::from_timestamp(second, 0)?.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Years 0 to 9999, whose text is in the order of time.
const FIRST_SECOND: i64 = -62_167_219_200;
const LAST_SECOND: i64 = 253_402_300_799;

/// The first second whose text is not `below`, by bisection: texts are in the order of their times.
fn first_not(below: impl Fn(&str) -> bool) -> i64 {
    let (mut low, mut high) = (FIRST_SECOND, LAST_SECOND + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if text_of(middle).is_some_and(|text| below(&text)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn times_of_text(
    args: &[Expr],
    value: &ScalarValue,
    _: &SimplifyContext,
) -> Result<Option<(Expr, Interval)>> {
    let ([time], Some(Some(value))) = (args, value.try_as_str()) else { return Ok(None) };
    let from = first_not(|text| text < value);
    let to = first_not(|text| text <= value);
    Ok(Some((time.clone(), Interval::try_new(second(from), second(to))?)))
}

pub(super) fn second(second: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(second * 1_000_000), Some("UTC".into()))
}

/// Reads members of structs that are built in the same plan, and times of texts that are made of times, without
/// building either.
#[derive(Debug)]
pub(in crate::query) struct StructsUnfolded;

impl OptimizerRule for StructsUnfolded {
    fn name(&self) -> &str {
        "structs_unfolded"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| {
                Ok(match unfolded(&expr) {
                    Some(simpler) => Transformed::yes(simpler),
                    None => Transformed::no(expr),
                })
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    }
}

fn unfolded(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == "get_field" => {
            let [of, name, rest @ ..] = call.args.as_slice() else { return None };
            let member = member(of, literal(name)?)?;
            rest.iter().try_fold(member, |member, name| Some(member.field(literal(name)?)))
        }
        Expr::IsNull(of) => conjunction(members(of)?.map(|member| member.is_null())),
        Expr::IsNotNull(of) => Some(!conjunction(members(of)?.map(|member| member.is_null()))?),
        Expr::Cast(Cast { expr, field }) if is_time(field.data_type()) => {
            Some(Expr::Cast(Cast::new_from_field(Box::new(time_under(expr)?), field.clone())))
        }
        Expr::TryCast(TryCast { expr, field }) if is_time(field.data_type()) => {
            Some(Expr::Cast(Cast::new_from_field(Box::new(time_under(expr)?), field.clone())))
        }
        Expr::Like(Like { negated: false, case_insensitive: false, escape_char: None, expr, pattern }) => {
            let time = time_under(expr)?;
            let prefix = literal(pattern)?.strip_suffix('%')?;
            if prefix.contains(['%', '_', '\\']) {
                return None;
            }
            let from = first_not(|text| text < prefix);
            let to = first_not(|text| text < prefix || text.starts_with(prefix));
            Some(time.clone().gt_eq(lit(second(from))).and(time.lt(lit(second(to)))))
        }
        _ => None,
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32)
}

/// The time whose text `expr` is.
pub(super) fn time_under(expr: &Expr) -> Option<Expr> {
    match expr {
        // Comparisons of text of two kinds put one in between.
        Expr::Cast(Cast { expr, field }) if field.data_type().is_string() => time_under(expr),
        expr => args_of(expr, &EVENT_TIME_TEXT_FN)?.first().cloned(),
    }
}

fn members(of: &Expr) -> Option<impl Iterator<Item = Expr>> {
    let args = args_of(of, &NULLABLE_STRUCT_FN)?;
    Some(args.iter().skip(1).step_by(2).cloned())
}

fn member(of: &Expr, name: &str) -> Option<Expr> {
    let args = args_of(of, &NULLABLE_STRUCT_FN)?;
    args.chunks_exact(2).find(|pair| literal(&pair[0]) == Some(name)).map(|pair| pair[1].clone())
}
