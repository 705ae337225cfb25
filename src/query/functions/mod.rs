//! The functions that published queries call and the engine does not have, or has with another meaning.
//!
//! Each is tested against what its own engine's documentation says, in `tests/slt`. Where engines disagree under one
//! name, Trino's meaning stands.

/// Reading into JSON.
mod json;

/// JSON text and Arrow values into each other.
mod convert;

/// Maps, lists and structs.
mod nested;

/// Paths into JSON.
mod path;

/// Times in text.
mod clock;

/// Times as text, text as times, and arithmetic on them.
mod time;

/// Text.
mod text;

/// What views are written with, and how it disappears from plans.
mod shapes;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

pub(super) use shapes::StructsUnfolded;

/// Makes the functions known to a session.
pub(super) fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for family in [
        json::FUNCTIONS,
        convert::FUNCTIONS,
        nested::FUNCTIONS,
        time::FUNCTIONS,
        text::FUNCTIONS,
        shapes::FUNCTIONS,
    ] {
        for function in family {
            registry.register_udf(function.udf(false))?;
            if function.fails {
                registry.register_udf(function.udf(true))?;
            }
        }
    }
    let rewrite: Arc<dyn FunctionRewrite + Send + Sync> = Arc::new(nested::MapSubscripts);
    registry.register_function_rewrite(rewrite)
}

/// Whether `name` has a form that gives null where it fails: [`lenient`] says how that is called.
pub(super) fn can_fail(name: &str) -> bool {
    [json::FUNCTIONS, convert::FUNCTIONS, nested::FUNCTIONS, time::FUNCTIONS, text::FUNCTIONS]
        .iter()
        .any(|family| family.iter().any(|function| function.fails && function.is(name)))
}

/// Whether JSON can be cast to a type of this name.
pub(super) fn is_type(name: &str) -> bool {
    convert::sql_type(name).is_some()
}

/// The form of a function that gives null where the other fails, for `try(…)`.
pub(super) fn lenient(name: &str) -> String {
    format!("try_{name}")
}

/// Makes a cheaper expression of a call's arguments, where their form allows one.
type Simplify = fn(&[Expr]) -> Option<Expr>;

/// One scalar function.
#[derive(Clone, Copy)]
struct Function {
    name: &'static str,
    aliases: &'static [&'static str],
    /// The fewest and the most arguments.
    takes: (usize, usize),
    returns: Returns,
    /// Whether some arguments are an error, which `try(…)` turns into null.
    fails: bool,
    run: fn(&Call<'_>) -> Result<ArrayRef>,
    /// A cheaper expression, where the arguments' form allows one.
    simplify: Option<Simplify>,
    /// The arguments for which the value is a given one.
    preimage: Option<Preimage>,
    /// Whether it may be moved to the scan, as reading a field of a struct may.
    accessor: bool,
}

/// The argument, and its values for which the function's value is the given one; none where there is no such range.
type Preimage = fn(&[Expr], &ScalarValue, &SimplifyContext) -> Result<Option<(Expr, Interval)>>;

/// The type of a function's value.
#[derive(Clone, Copy)]
enum Returns {
    Text,
    Int,
    Float,
    Bool,
    /// A moment, in microseconds, UTC.
    Time,
    /// A time of no zone, in microseconds.
    LocalTime,
    Date,
    Texts,
    TextMap,
    /// By the arguments' types and constants.
    Of(fn(&[DataType], &[Option<&ScalarValue>]) -> Result<DataType>),
}

impl Function {
    const fn new(
        name: &'static str,
        takes: (usize, usize),
        returns: Returns,
        run: fn(&Call<'_>) -> Result<ArrayRef>,
    ) -> Function {
        Function {
            name,
            aliases: &[],
            takes,
            returns,
            fails: false,
            run,
            simplify: None,
            preimage: None,
            accessor: false,
        }
    }

    const fn fails(mut self) -> Function {
        self.fails = true;
        self
    }

    const fn also(mut self, aliases: &'static [&'static str]) -> Function {
        self.aliases = aliases;
        self
    }

    const fn simplify(mut self, simplify: fn(&[Expr]) -> Option<Expr>) -> Function {
        self.simplify = Some(simplify);
        self
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    fn udf(&'static self, lenient: bool) -> Arc<ScalarUDF> {
        let named = |name: &str| if lenient { self::lenient(name) } else { name.to_owned() };
        Arc::new(ScalarUDF::new_from_impl(Udf {
            function: self,
            name: named(self.name),
            aliases: self.aliases.iter().map(|alias| named(alias)).collect(),
            signature: if self.takes.0 == 0 {
                Signature::one_of(
                    vec![
                        datafusion::logical_expr::TypeSignature::Nullary,
                        datafusion::logical_expr::TypeSignature::VariadicAny,
                    ],
                    Volatility::Immutable,
                )
            } else {
                Signature::variadic_any(Volatility::Immutable)
            },
            lenient,
        }))
    }
}

/// The call of `function`, as an expression.
fn call(function: &'static Function, args: Vec<Expr>) -> Expr {
    function.udf(false).call(args)
}

/// The arguments of `expr`, where it calls `function`.
fn args_of<'a>(expr: &'a Expr, function: &Function) -> Option<&'a [Expr]> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == function.name => Some(&call.args),
        Expr::Alias(alias) => args_of(&alias.expr, function),
        _ => None,
    }
}

/// The text of a constant.
fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

#[derive(Debug)]
struct Udf {
    function: &'static Function,
    name: String,
    aliases: Vec<String>,
    signature: Signature,
    lenient: bool,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Udf {
    fn eq(&self, other: &Udf) -> bool {
        self.name == other.name
    }
}

impl Eq for Udf {}

impl Hash for Udf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Udf {
    fn data_type(&self, types: &[DataType], constants: &[Option<&ScalarValue>]) -> Result<DataType> {
        let (least, most) = self.function.takes;
        if types.len() < least || types.len() > most {
            return plan_err!("{} takes {}, not {} arguments", self.name, count(least, most), types.len());
        }
        Ok(match self.function.returns {
            Returns::Text => DataType::Utf8View,
            Returns::Int => DataType::Int64,
            Returns::Float => DataType::Float64,
            Returns::Bool => DataType::Boolean,
            Returns::Time => time::moment(),
            Returns::LocalTime => time::local(),
            Returns::Date => DataType::Date32,
            Returns::Texts => texts_type(),
            Returns::TextMap => convert::text_map(),
            Returns::Of(of) => of(types, constants)?,
        })
    }
}

fn count(least: usize, most: usize) -> String {
    match most {
        usize::MAX => format!("at least {least}"),
        _ if least == most => least.to_string(),
        _ => format!("{least} to {most}"),
    }
}

/// A list of texts.
fn texts_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8View, true)))
}

impl ScalarUDFImpl for Udf {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.data_type(types, &vec![None; types.len()])
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let returned = self.data_type(&types, args.scalar_arguments)?;
        Ok(Arc::new(Field::new(&self.name, returned, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let call = Call {
            name: &self.name,
            args: &args.args,
            rows,
            lenient: self.lenient,
            returns: args.return_field.data_type(),
        };
        let mut value = (self.function.run)(&call)?;
        if value.data_type() != call.returns {
            value = cast(&value, call.returns)?;
        }
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?));
        }
        Ok(ColumnarValue::Array(value))
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let simpler = self.function.simplify.and_then(|simplify| simplify(&args));
        Ok(match simpler {
            Some(simpler) => ExprSimplifyResult::Simplified(simpler),
            None => ExprSimplifyResult::Original(args),
        })
    }

    fn preimage(&self, args: &[Expr], value: &Expr, types: &SimplifyContext) -> Result<PreimageResult> {
        let (Some(preimage), Expr::Literal(value, _)) = (self.function.preimage, value) else {
            return Ok(PreimageResult::None);
        };
        Ok(match preimage(args, value, types)? {
            Some((expr, interval)) => PreimageResult::Range { expr, interval: Box::new(interval) },
            None => PreimageResult::None,
        })
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        let [first, rest @ ..] = args else { return ExpressionPlacement::KeepInPlace };
        let constant = rest.iter().all(|arg| *arg == ExpressionPlacement::Literal);
        if self.function.accessor && constant && first.should_push_to_leaves() {
            ExpressionPlacement::MoveTowardsLeafNodes
        } else {
            ExpressionPlacement::KeepInPlace
        }
    }
}

/// The arguments of one evaluation.
struct Call<'a> {
    name: &'a str,
    args: &'a [ColumnarValue],
    rows: usize,
    lenient: bool,
    returns: &'a DataType,
}

impl Call<'_> {
    fn len(&self) -> usize {
        self.args.len()
    }

    fn arg(&self, at: usize) -> Result<&ColumnarValue> {
        match self.args.get(at) {
            Some(arg) => Ok(arg),
            None => exec_err!("{} has no argument {}", self.name, at + 1),
        }
    }

    fn data_type(&self, at: usize) -> Result<DataType> {
        Ok(self.arg(at)?.data_type())
    }

    fn array(&self, at: usize) -> Result<ArrayRef> {
        self.arg(at)?.to_array(self.rows)
    }

    /// An argument as text; what is nested becomes JSON.
    fn text(&self, at: usize) -> Result<StringViewArray> {
        let array = self.array(at)?;
        if array.data_type().is_nested() {
            return convert::to_json(&array);
        }
        Ok(cast(&array, &DataType::Utf8View)?.as_string_view().clone())
    }

    fn ints(&self, at: usize) -> Result<Int64Array> {
        let array = cast(&self.array(at)?, &DataType::Int64)?;
        Ok(array.as_primitive().clone())
    }

    fn floats(&self, at: usize) -> Result<Float64Array> {
        let array = cast(&self.array(at)?, &DataType::Float64)?;
        Ok(array.as_primitive().clone())
    }

    /// What `make` makes of an argument's text, for each row; made once where the text is a constant. Null where the
    /// text is.
    fn each<T: Clone>(&self, at: usize, make: impl Fn(&str) -> Result<T>) -> Result<Vec<Option<T>>> {
        if let ColumnarValue::Scalar(value) = self.arg(at)? {
            let value = value.cast_to(&DataType::Utf8)?;
            let made = value.try_as_str().flatten().map(make).transpose()?;
            return Ok(vec![made; self.rows]);
        }
        let mut last: Option<(String, T)> = None;
        let mut all = Vec::with_capacity(self.rows);
        for text in &self.text(at)? {
            let Some(text) = text else {
                all.push(None);
                continue;
            };
            let made = match &last {
                Some((of, made)) if of == text => made.clone(),
                _ => make(text)?,
            };
            all.push(Some(made.clone()));
            last = Some((text.to_owned(), made));
        }
        Ok(all)
    }

    /// What is given for a row that has no value: null in `try(…)`, else the error.
    fn failed<T>(&self, error: impl FnOnce() -> String) -> Result<Option<T>> {
        if self.lenient {
            Ok(None)
        } else {
            Err(DataFusionError::Execution(format!("{}: {}", self.name, error())))
        }
    }
}
