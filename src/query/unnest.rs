//! `FROM t CROSS JOIN UNNEST(t.x) AS u(a)`: a join with rows that come out of the other table's own rows. The engine
//! unnests in SELECT only, so the table is replaced by a subquery that does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinConstraint, JoinOperator,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Value,
    VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::dialect::AnySql;
use super::rewrite::{call, number};

/// The one column that holds a row while it is taken apart.
const ROW: &str = "__unnested_row";

/// Moves every `UNNEST` of a `FROM` into the table that it is about; gives what their rows are called now. Columns
/// without a name of their own are numbered on from `number`.
pub(super) fn laterals(select: &mut Select, number: &mut usize) -> Vec<Renamed> {
    let mut found = Vec::new();
    // `FROM t, UNNEST(x)` is `FROM t CROSS JOIN UNNEST(x)`.
    let mut from: Vec<_> = std::mem::take(&mut select.from);
    let mut at = 1;
    while at < from.len() {
        if is_lateral(&from[at].relation) {
            let moved = from.remove(at);
            move_into(&mut from[..at], moved.relation, Kind::Inner, &mut found, number);
            from[at - 1].joins.extend(moved.joins);
        } else {
            at += 1;
        }
    }
    for end in 1..=from.len() {
        let mut at = 0;
        while at < from[end - 1].joins.len() {
            let join = &from[end - 1].joins[at];
            let kind = if is_lateral(&join.relation) { kind(&join.join_operator) } else { None };
            if let Some(kind) = kind {
                let join = from[end - 1].joins.remove(at);
                move_into(&mut from[..end], join.relation, kind, &mut found, number);
            } else {
                at += 1;
            }
        }
    }
    select.from = from;
    found
}

fn is_lateral(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::UNNEST { array_exprs, .. }
        if !array_exprs.iter().all(|array| matches!(array, Expr::Array(_) | Expr::Value(_))))
}

/// What becomes of a row whose array is empty or null.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It is left out.
    Inner,
    /// It stays, with null for the element.
    Outer,
}

fn kind(operator: &JoinOperator) -> Option<Kind> {
    let always = |constraint: &JoinConstraint| match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(Expr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    };
    match operator {
        JoinOperator::CrossJoin(_) => Some(Kind::Inner),
        JoinOperator::Join(on) | JoinOperator::Inner(on) if always(on) => Some(Kind::Inner),
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) if always(on) => Some(Kind::Outer),
        _ => None,
    }
}

fn move_into(
    from: &mut [TableWithJoins],
    unnest: TableFactor,
    kind: Kind,
    found: &mut Vec<Renamed>,
    number: &mut usize,
) {
    let TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } = &unnest else { return };
    let mut qualifiers = Qualifiers::default();
    for array in array_exprs {
        let _ = VisitMut::visit(&mut array.clone(), &mut qualifiers);
    }
    let mut tables: Vec<&mut TableFactor> = from
        .iter_mut()
        .flat_map(|table| {
            std::iter::once(&mut table.relation).chain(table.joins.iter_mut().map(|join| &mut join.relation))
        })
        .collect();
    let about = tables
        .iter()
        .position(|table| name(table).is_some_and(|name| qualifiers.0.contains(&name.to_lowercase())));
    if tables.is_empty() {
        return;
    }
    let table = tables.swap_remove(about.unwrap_or(0));
    let mut columns: Vec<Ident> =
        alias.iter().flat_map(|alias| &alias.columns).map(|column| column.name.clone()).collect();
    let mut renamed = alias.as_ref().map(|alias| Renamed { rows: alias.name.value.clone(), column: None });
    if columns.is_empty() {
        // As DuckDB names it.
        let column = if *number == 0 { "unnest".to_owned() } else { format!("unnest_{number}") };
        *number += 1;
        columns.push(Ident::new(&column));
        if let Some(renamed) = &mut renamed {
            renamed.column = Some(column);
        }
    }
    if let Some(wrapped) = wrapped(table, columns, array_exprs, *with_ordinality, kind) {
        *table = wrapped;
        found.extend(renamed);
    }
}

/// What a table is called in the statement.
pub(super) fn name(table: &TableFactor) -> Option<&str> {
    match table {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(&alias.name.value),
            None => match name.0.last() {
                Some(ObjectNamePart::Identifier(name)) => Some(&name.value),
                _ => None,
            },
        },
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| alias.name.value.as_str()),
        _ => None,
    }
}

/// `(SELECT *, unnest(…) AS a FROM table) AS table`
fn wrapped(
    table: &TableFactor,
    columns: Vec<Ident>,
    arrays: &[Expr],
    ordinality: bool,
    kind: Kind,
) -> Option<TableFactor> {
    let table_name = Ident::new(name(table).unwrap_or("t"));
    let lists: Vec<Expr> = arrays.iter().map(|array| call("unnest_list", vec![array.clone()])).collect();
    let single = lists.len() == 1;
    let mut list = if single { lists.into_iter().next()? } else { call("zip_lists", lists) };
    if ordinality {
        list = call("with_ordinality", vec![list]);
    }
    if kind == Kind::Outer {
        list = call("null_if_none", vec![list]);
    }
    let rows = call("unnest", vec![list]);
    let plain = single && !ordinality && columns.len() == 1;

    let mut inner = query("SELECT *, 0 AS row_of FROM t")?;
    let select = select_of(&mut inner)?;
    let row = if plain { columns.first()?.clone() } else { Ident::new(ROW) };
    *select.projection.get_mut(1)? = SelectItem::ExprWithAlias { expr: rows, alias: row };
    select.from.first_mut()?.relation = table.clone();
    if !plain {
        let mut outer = query(&format!("SELECT * EXCLUDE ({ROW}) FROM (SELECT 1)"))?;
        let select = select_of(&mut outer)?;
        for (at, column) in columns.into_iter().enumerate() {
            let field =
                call("row_field", vec![Expr::Identifier(Ident::new(ROW)), number(&(at + 1).to_string())]);
            select.projection.push(SelectItem::ExprWithAlias { expr: field, alias: column });
        }
        if let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation {
            **subquery = inner;
        }
        inner = outer;
    }
    let mut template = query("SELECT 1 FROM (SELECT 1) AS t")?;
    let factor = &mut select_of(&mut template)?.from.first_mut()?.relation;
    if let TableFactor::Derived { subquery, alias, .. } = factor {
        **subquery = inner;
        alias.as_mut()?.name = table_name;
    }
    Some(factor.clone())
}

fn query(sql: &str) -> Option<Query> {
    match Parser::parse_sql(&AnySql, sql).ok()?.pop()? {
        Statement::Query(query) => Some(*query),
        _ => None,
    }
}

fn select_of(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// The first names of compound names.
#[derive(Default)]
struct Qualifiers(Vec<String>);

impl VisitorMut for Qualifiers {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(names) = expr {
            self.0.extend(names.first().map(|name| name.value.to_lowercase()));
        }
        ControlFlow::Continue(())
    }
}

/// What the rows of an `UNNEST` are called in a statement, and are no longer.
pub(super) struct Renamed {
    rows: String,
    /// The column, where it had no name: the rows' name stood for it.
    column: Option<String>,
}

impl Renamed {
    fn is(&self, name: &Ident) -> bool {
        name.value.eq_ignore_ascii_case(&self.rows)
    }
}

impl VisitorMut for Renamed {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match (expr, &self.column) {
            // `u.a` is `a`
            (expr @ Expr::CompoundIdentifier(_), column) => {
                let Expr::CompoundIdentifier(names) = expr else { return ControlFlow::Continue(()) };
                if !names.first().is_some_and(|name| self.is(name)) {
                    return ControlFlow::Continue(());
                }
                names.remove(0);
                if let Some(column) = column {
                    if names.first().is_some_and(|name| name.value.eq_ignore_ascii_case("unnest")) {
                        names.remove(0);
                    }
                    names.insert(0, Ident::new(column));
                }
                if names.len() == 1
                    && let Some(name) = names.pop()
                {
                    *expr = Expr::Identifier(name);
                }
            }
            // `u` is its column
            (Expr::Identifier(name), Some(column)) if self.is(name) => *name = Ident::new(column),
            // `u -> 'unnest'`, which by now is a call, is that as well
            (expr @ Expr::Function(_), Some(column)) => {
                if let Expr::Function(walk) = expr
                    && let Some(whole) = without_unnest(walk, column)
                    && let Some(whole) = whole
                {
                    *expr = whole;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Takes the step `'unnest'` out of a walk from `column` into JSON; what is left, where no step is.
fn without_unnest(walk: &mut Function, column: &str) -> Option<Option<Expr>> {
    let FunctionArguments::List(list) = &mut walk.args else { return None };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(of))),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(step))),
        ..,
    ] = list.args.as_slice()
    else {
        return None;
    };
    if of.value != column || step.value != Value::SingleQuotedString("unnest".to_owned()) {
        return None;
    }
    let of = of.clone();
    list.args.remove(1);
    Some((list.args.len() == 1).then_some(Expr::Identifier(of)))
}
