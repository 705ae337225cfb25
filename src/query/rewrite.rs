//! Statements as people wrote them for Athena, CloudTrail Lake and Tailpipe, into statements that the engine plans.
//!
//! Everything here is done to the syntax tree, before names and types are known; what needs types is done by the
//! functions (`functions`).

use std::collections::VecDeque;
use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::parser::{CopyToSource, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    self, AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, NullTreatment,
    ObjectName, OneOrManyWithParens, OrderByExpr, OrderByOptions, Query, Select, SelectItem, SetExpr,
    Subscript, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::dialect::AnySql;
use super::names::{name_fields, order_by_names};
use super::views::VIEWS;
use super::{functions, unnest};

/// The statements of `sql`, which are separated by `;`, in the engine's words.
pub(super) fn parse(sql: &str) -> Result<VecDeque<Statement>> {
    let mut tokens = Tokenizer::new(&AnySql, sql).tokenize_with_location().map_err(ParserError::from)?;
    bare_values(&mut tokens);
    let mut parser = DFParserBuilder::new(tokens).with_dialect(&AnySql).build()?;
    let mut statements = parser.parse_statements()?;
    for statement in &mut statements {
        rewrite(statement);
    }
    Ok(statements)
}

/// Trino's `VALUES 1, 2`, rows of one value, as `VALUES (1), (2)`.
fn bare_values(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        let is_values = matches!(&tokens[at].token, Token::Word(word) if word.keyword == Keyword::VALUES);
        at += 1;
        if !is_values {
            continue;
        }
        while let Some(value) =
            tokens[at..].iter().position(|token| !matches!(token.token, Token::Whitespace(_)))
        {
            let literal = at + value;
            if !matches!(tokens[literal].token, Token::SingleQuotedString(_) | Token::Number(..)) {
                break;
            }
            let span = tokens[literal].span;
            tokens.insert(literal + 1, TokenWithSpan { token: Token::RParen, span });
            tokens.insert(literal, TokenWithSpan { token: Token::LParen, span });
            at = literal + 3;
            match tokens[at..].iter().position(|token| !matches!(token.token, Token::Whitespace(_))) {
                Some(next) if tokens[at + next].token == Token::Comma => at += next + 1,
                _ => break,
            }
        }
    }
}

fn rewrite(statement: &mut Statement) {
    let mut tables = OthersTables::default();
    visit(statement, &mut tables);
    let nulls_last = tables.trino || tables.duckdb;
    visit(statement, &mut Rewrite { trino: tables.trino, nulls_last, unnested: 0 });
    if let Statement::Statement(statement) = statement
        && let ast::Statement::Query(query) = statement.as_mut()
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        keep_unions(select);
    }
}

/// JSON that a statement gives, and does nothing else with, is left as the union of types that the engine's operator
/// makes: formats that know JSON write it as such.
fn keep_unions(select: &mut Select) {
    let grouped = !matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if by.is_empty());
    if grouped || select.distinct.is_some() {
        return;
    }
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        if let Expr::Function(function) = expr
            && name_of(function).as_deref() == Some("json_get_json")
        {
            function.name = ObjectName::from(vec![Ident::new("json_get")]);
        }
    }
}

pub(super) fn visit<V: VisitorMut<Break = ()>>(statement: &mut Statement, visitor: &mut V) {
    let flow = match statement {
        Statement::Statement(statement) => statement.visit(visitor),
        Statement::Explain(explain) => {
            visit(&mut explain.statement, visitor);
            ControlFlow::Continue(())
        }
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    };
    debug_assert!(flow.is_continue(), "no visitor of ours stops");
}

/// Whether a statement is about tables that are another engine's elsewhere.
#[derive(Default)]
struct OthersTables {
    trino: bool,
    duckdb: bool,
}

impl VisitorMut for OthersTables {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        match relation
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map(|name| name.value.to_lowercase())
            .as_deref()
        {
            Some("cloudtrail_logs" | "cloudtrail_lake") => self.trino = true,
            Some("aws_cloudtrail_log") => self.duckdb = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Rewrite {
    /// Whether Trino's meaning of a function stands over the engine's.
    trino: bool,
    /// Whether nulls come last in descending order too, as in Trino and DuckDB.
    nulls_last: bool,
    /// How many columns have been given names so far.
    unnested: usize,
}

impl VisitorMut for Rewrite {
    type Break = ();

    /// Our views have no database: `"AwsDataCatalog"."default"."cloudtrail_logs"` is `cloudtrail_logs`.
    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if let [.., last] = relation.0.as_slice()
            && last
                .as_ident()
                .is_some_and(|name| VIEWS.iter().any(|view| view.name == name.value.to_lowercase()))
        {
            let last = last.clone();
            relation.0 = vec![last];
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(new) = self.rewritten(expr) {
            *expr = new;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_fields(select);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_mut() {
            for mut rows in unnest::laterals(select, &mut self.unnested) {
                let _ = VisitMut::visit(select.as_mut(), &mut rows);
                let _ = VisitMut::visit(&mut query.order_by, &mut rows);
            }
        }
        if let Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(order), .. }) = &mut query.order_by {
            self.nulls(order);
            if let SetExpr::Select(select) = query.body.as_ref()
                && select.distinct.is_some()
            {
                order_by_names(order, &select.projection);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Rewrite {
    fn rewritten(&self, expr: &mut Expr) -> Option<Expr> {
        match expr {
            Expr::CompoundFieldAccess { access_chain, .. } => {
                access_chain.iter_mut().for_each(field_in_brackets);
                None
            }
            Expr::Function(function) => {
                if let Some(ast::WindowType::WindowSpec(window)) = &mut function.over {
                    self.nulls(&mut window.order_by);
                }
                self.function(function)
            }
            Expr::Lambda(lambda) => {
                let params = match &lambda.params {
                    OneOrManyWithParens::One(param) => std::slice::from_ref(param),
                    OneOrManyWithParens::Many(params) => params,
                };
                let names = params.iter().map(|param| param.name.value.to_lowercase()).collect();
                let flow = VisitMut::visit(lambda.body.as_mut(), &mut InLambda { names });
                debug_assert!(flow.is_continue());
                None
            }
            Expr::Cast { kind, expr, data_type, .. } => cast(kind, expr, data_type),
            Expr::BinaryOp { left, op: op @ (BinaryOperator::Arrow | BinaryOperator::LongArrow), right } => {
                Some(member(take(left), *op == BinaryOperator::LongArrow, take(right)))
            }
            Expr::BinaryOp { left, op, right } if is_comparison(op) => {
                compare(left, right);
                None
            }
            _ => None,
        }
    }

    fn nulls(&self, order: &mut [OrderByExpr]) {
        for by in order.iter_mut().filter(|by| self.nulls_last && by.options.nulls_first.is_none()) {
            by.options.nulls_first = Some(false);
        }
    }

    fn function(&self, function: &mut Function) -> Option<Expr> {
        let name = name_of(function)?;
        let mut args = plain_args(function)?;
        let named = |name: &str, args: Vec<Expr>| {
            let mut renamed = function.clone();
            renamed.name = ObjectName::from(vec![Ident::new(name)]);
            set_args(&mut renamed, args);
            Some(Expr::Function(renamed))
        };
        match (name.as_str(), args.as_mut_slice()) {
            ("try", [value]) => {
                let mut value = take(value);
                let flow = VisitMut::visit(&mut value, &mut Lenient);
                debug_assert!(flow.is_continue());
                Some(value)
            }
            ("if", [condition, yes]) => Some(case(take(condition), take(yes), None)),
            ("if", [condition, yes, no]) => Some(case(take(condition), take(yes), Some(take(no)))),
            ("replace", [of, what]) => Some(call("replace", vec![take(of), take(what), string("")])),
            ("arbitrary", [_]) => named("any_value", args),
            ("list", [_]) => named("array_agg", args),
            ("listagg" | "group_concat", [_]) => {
                args.push(string(if name == "listagg" { "" } else { "," }));
                Some(within_group(named("string_agg", args)?))
            }
            ("listagg" | "group_concat", [_, _]) => Some(within_group(named("string_agg", args)?)),
            ("count_if", [condition]) => {
                let counted = case(take(condition), number("1"), None);
                named("count", vec![counted])
            }
            ("max_by" | "arg_max" | "min_by" | "arg_min", [value, by]) => {
                let descending = name == "max_by" || name == "arg_max";
                Some(first_by(function, take(value), take(by), descending))
            }
            ("approx_percentile", [value, fraction]) => {
                let value = take(value);
                let percentile =
                    |fraction: Expr| named("approx_percentile_cont", vec![value.clone(), fraction]);
                match fraction {
                    Expr::Array(fractions) => {
                        let each = fractions.elem.drain(..).map(percentile).collect::<Option<Vec<_>>>()?;
                        Some(call("make_array", each))
                    }
                    fraction => percentile(take(fraction)),
                }
            }
            ("transform", [_, Expr::Lambda(_)]) => named("array_transform", args),
            ("filter", [_, Expr::Lambda(_)]) => named("array_filter", args),
            ("any_match", [_, Expr::Lambda(_)]) => named("array_any_match", args),
            ("none_match", [_, Expr::Lambda(_)]) => Some(not(named("array_any_match", args)?)),
            ("all_match", [_, Expr::Lambda(lambda)]) => {
                *lambda.body = not(Expr::Nested(Box::new(take(&mut lambda.body))));
                Some(not(named("array_any_match", args)?))
            }
            ("regexp_replace", [_, _]) if self.trino => {
                args.extend([string(""), string("g")]);
                named("regexp_replace", args)
            }
            ("regexp_replace", [_, _, _]) if self.trino => {
                args.push(string("g"));
                named("regexp_replace", args)
            }
            ("regexp_matches", [_, _]) => named("regexp_like", args),
            ("at_timezone", [time, zone]) => {
                Some(Expr::AtTimeZone { timestamp: Box::new(take(time)), time_zone: Box::new(take(zone)) })
            }
            ("json_extract_path" | "json_query", [_, _]) => named("json_extract", args),
            ("json_value", [_, _]) => named("json_extract_scalar", args),
            ("array_length", [of]) if is_json(of) => Some(call("json_array_length", vec![take(of)])),
            ("cardinality", [of]) if is_json(of) => Some(call("json_array_length", vec![take(of)])),
            _ => None,
        }
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// `x.name`, where `x` is a subscript or a call, as `x['name']`.
fn field_in_brackets(access: &mut AccessExpr) {
    let name = match access {
        AccessExpr::Dot(Expr::Identifier(name)) => name.value.clone(),
        // Words such as `user`, which are a call elsewhere.
        AccessExpr::Dot(Expr::Function(function)) => function.name.to_string(),
        _ => return,
    };
    *access = in_brackets(&name);
}

fn in_brackets(name: &str) -> AccessExpr {
    AccessExpr::Subscript(Subscript::Index { index: string(&name.to_lowercase()) })
}

/// Functions whose value is JSON, in the engines that have that type.
const GIVE_JSON: &[&str] = &[
    "json_get_json",
    "json_extract",
    "json_extract_path",
    "json_parse",
    "json_array_get",
    "cast_to_json",
    "json_query",
];

fn is_json(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inside) => is_json(inside),
        Expr::Function(function) => {
            function.name.0.last().and_then(|part| part.as_ident()).is_some_and(|name| {
                GIVE_JSON.iter().any(|json| {
                    name.value.eq_ignore_ascii_case(json)
                        || name.value.eq_ignore_ascii_case(&functions::lenient(json))
                })
            })
        }
        _ => false,
    }
}

/// `of -> key`, which is JSON, or `of ->> key`, which is text. Steps in a row become one walk.
fn member(of: Expr, as_text: bool, key: Expr) -> Expr {
    // DuckDB's operators take a path too; a key that looks like one is not to be expected.
    if text(&key).is_some_and(|key| key.starts_with("$.") || key.starts_with("$[")) {
        return call(if as_text { "json_extract_string" } else { "json_extract" }, vec![of, key]);
    }
    let of = match of {
        Expr::Nested(inside) if is_json(&inside) => *inside,
        of => of,
    };
    let mut steps = match of {
        Expr::Function(walk) if name_of(&walk).as_deref() == Some("json_get_json") => {
            plain_args(&walk).unwrap_or_else(|| vec![Expr::Function(walk)])
        }
        of => vec![of],
    };
    steps.push(key);
    call(if as_text { "json_as_text" } else { "json_get_json" }, steps)
}

/// The name of a function, in lower case, where it is a plain one.
fn name_of(function: &Function) -> Option<String> {
    let [name] = function.name.0.as_slice() else { return None };
    Some(name.as_ident()?.value.to_lowercase())
}

/// Casts from and to JSON, and to types that only Trino and DuckDB name.
fn cast(kind: &CastKind, expr: &mut Expr, data_type: &DataType) -> Option<Expr> {
    let strict = matches!(kind, CastKind::Cast | CastKind::DoubleColon);
    if matches!(data_type, DataType::JSON | DataType::JSONB) {
        return Some(call("cast_to_json", vec![take(expr)]));
    }
    if matches!(data_type, DataType::Date) {
        // It knows which times a day is, so that statistics can answer.
        let name = if strict { "date".to_owned() } else { functions::lenient("date") };
        let of = if is_json(expr) { call("json_scalar", vec![take(expr)]) } else { take(expr) };
        return Some(call(&name, vec![of]));
    }
    let to = data_type.to_string();
    let upper = to.to_uppercase();
    let nested =
        ["ARRAY", "MAP", "ROW", "STRUCT"].iter().any(|name| upper.starts_with(name)) || to.ends_with("[]");
    let built = matches!(expr, Expr::Array(_) | Expr::Value(_));
    if !functions::is_type(&to) || !(is_json(expr) || (nested && !built)) {
        return None;
    }
    let name = if strict { "json_cast".to_owned() } else { functions::lenient("json_cast") };
    Some(call(&name, vec![take(expr), string(&to)]))
}

/// Compares JSON with a plain value as a value of its type.
fn compare(left: &mut Expr, right: &mut Expr) {
    let data_type = |value: &Expr| match value {
        Expr::Value(value) => match &value.value {
            Value::Boolean(_) => Some("BOOLEAN"),
            Value::Number(..) => Some("DOUBLE"),
            _ => None,
        },
        _ => None,
    };
    let (json, data_type) = match (data_type(left), data_type(right)) {
        (None, Some(data_type)) => (left, data_type),
        (Some(data_type), None) => (right, data_type),
        _ => return,
    };
    if is_json(json) {
        *json = call("json_cast", vec![take(json), string(data_type)]);
    }
}

/// What the engine does not plan within a lambda: fields of its parameters, and array literals.
struct InLambda {
    names: Vec<String>,
}

impl VisitorMut for InLambda {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::CompoundIdentifier(path)
                if path.first().is_some_and(|name| self.names.contains(&name.value.to_lowercase())) =>
            {
                let root = Box::new(Expr::Identifier(path.remove(0)));
                let access_chain = path.iter().map(|name| in_brackets(&name.value)).collect();
                *expr = Expr::CompoundFieldAccess { root, access_chain };
            }
            Expr::Array(array) => *expr = call("make_array", std::mem::take(&mut array.elem)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Makes the functions within `try(…)` give null where they would fail.
struct Lenient;

impl VisitorMut for Lenient {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { kind, .. } => *kind = CastKind::TryCast,
            Expr::BinaryOp { op: BinaryOperator::Divide | BinaryOperator::Modulo, right, .. } => {
                **right = call("nullif", vec![take(right), number("0")]);
            }
            Expr::Function(function) => {
                let name = function
                    .name
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .map(|name| name.value.to_lowercase());
                if let Some(name) = name.filter(|name| functions::can_fail(name)) {
                    function.name = ObjectName::from(vec![Ident::new(functions::lenient(&name))]);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `max_by(value, by)`: the value in the first row by `by`, of the rows that have one.
fn first_by(function: &Function, value: Expr, by: Expr, descending: bool) -> Expr {
    let mut first = function.clone();
    first.name = ObjectName::from(vec![Ident::new("first_value")]);
    let known = Expr::IsNotNull(Box::new(by.clone()));
    first.filter = Some(Box::new(match first.filter.take() {
        Some(filter) => Expr::BinaryOp {
            left: Box::new(Expr::Nested(filter)),
            op: BinaryOperator::And,
            right: Box::new(known),
        },
        None => known,
    }));
    set_args(&mut first, vec![value]);
    if let FunctionArguments::List(list) = &mut first.args {
        let options = OrderByOptions { asc: Some(!descending), nulls_first: Some(false) };
        list.clauses =
            vec![FunctionArgumentClause::OrderBy(vec![OrderByExpr { expr: by, options, with_fill: None }])];
    }
    Expr::Function(first)
}

/// `f(…) WITHIN GROUP (ORDER BY x)` as `f(… ORDER BY x)`.
fn within_group(mut expr: Expr) -> Expr {
    if let Expr::Function(function) = &mut expr
        && let FunctionArguments::List(list) = &mut function.args
        && !function.within_group.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(std::mem::take(&mut function.within_group)));
    }
    expr
}

/// The arguments of a call, where all are plain expressions.
fn plain_args(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    list.args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}

fn set_args(function: &mut Function, args: Vec<Expr>) {
    if let FunctionArguments::List(list) = &mut function.args {
        list.args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    }
}

pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None::<NullTreatment>,
        over: None,
        within_group: Vec::new(),
    })
}

fn case(condition: Expr, yes: Expr, no: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: yes }],
        else_result: no.map(Box::new),
    }
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: Box::new(expr) }
}

fn string(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

pub(super) fn number(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).with_empty_span())
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.with_empty_span()))
}
