//! Names: in any case, given to what has none, and the same one twice.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, OrderByExpr, Select, SelectItem, VisitorMut};

use super::rewrite::{take, visit};
use super::unnest;

/// A statement with every quoted name in lower case, as Athena takes names whether quoted or not. None where that
/// changes nothing.
pub(super) fn unquoted(statement: &Statement) -> Option<Statement> {
    let mut changed = statement.clone();
    let mut names = Unquote { any: false };
    visit(&mut changed, &mut names);
    names.any.then_some(changed)
}

/// A statement with a name for every expression that is selected without one. The engine names a cast as what is cast,
/// and takes no name twice. None where that changes nothing.
pub(super) fn named(statement: &Statement) -> Option<Statement> {
    let mut changed = statement.clone();
    let mut names = Name { any: false };
    visit(&mut changed, &mut names);
    names.any.then_some(changed)
}

struct Name {
    any: bool,
}

impl VisitorMut for Name {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut given: Vec<String> = Vec::new();
        let everything = select.projection.iter().any(is_wildcard);
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let text = match &*expr {
                Expr::Identifier(name) => name.value.clone(),
                Expr::CompoundIdentifier(path) => match path.last() {
                    Some(name) => name.value.clone(),
                    None => continue,
                },
                other => other.to_string(),
            };
            let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let again =
                given.iter().filter(|name| **name == text).count() + usize::from(everything && is_column);
            let name = if again == 0 { text.clone() } else { format!("{text}_{again}") };
            given.push(text);
            *item = SelectItem::ExprWithAlias { expr: take(expr), alias: Ident::with_quote('"', name) };
            self.any = true;
        }
        ControlFlow::Continue(())
    }
}

/// Lower-cases quoted names where they are used; where they are given (`AS "Name"`) they stay.
struct Unquote {
    any: bool,
}

impl VisitorMut for Unquote {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let names: &mut [Ident] = match expr {
            Expr::Identifier(name) => std::slice::from_mut(name),
            Expr::CompoundIdentifier(names) => names,
            _ => &mut [],
        };
        for name in names {
            let lower = name.value.to_lowercase();
            if name.quote_style.is_some() && lower != name.value {
                name.value = lower;
                self.any = true;
            }
        }
        ControlFlow::Continue(())
    }
}

/// `SELECT useridentity.arn` gives a column `arn`, as in Trino, unless another one is called so.
pub(super) fn name_fields(select: &mut Select) {
    let tables: Vec<String> = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
        .filter_map(|table| unnest::name(table).map(str::to_lowercase))
        .collect();
    // Fields of structs have a name of their own; the engine calls them by their path.
    let field = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => {
            let of_table = path.first().is_some_and(|name| tables.contains(&name.value.to_lowercase()));
            (path.len() > 1 + usize::from(of_table))
                .then(|| path.last().map(|name| name.value.to_lowercase()))?
        }
        _ => None,
    };
    let names: Vec<Option<String>> = select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.to_lowercase()),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => {
                path.last().map(|name| name.value.to_lowercase())
            }
            _ => None,
        })
        .collect();
    let everything = select.projection.iter().any(is_wildcard);
    for item in &mut select.projection {
        let Some(name) = field(item) else { continue };
        let once = names.iter().flatten().filter(|other| **other == name).count() == 1;
        if once
            && !everything
            && let SelectItem::UnnamedExpr(expr) = item
        {
            *item = SelectItem::ExprWithAlias { expr: take(expr), alias: Ident::with_quote('"', name) };
        }
    }
}

/// What is ordered by and selected under a name, by that name: with `DISTINCT` the engine takes nothing else.
pub(super) fn order_by_names(order: &mut [OrderByExpr], selected: &[SelectItem]) {
    for by in order {
        let name = selected.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if *expr == by.expr => Some(alias.clone()),
            _ => None,
        });
        if let Some(name) = name {
            by.expr = Expr::Identifier(name);
        }
    }
}

fn is_wildcard(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}
