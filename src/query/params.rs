//! Values for the parameters of a statement, `$name`.
//!
//! A value takes its place in the syntax tree, never in the text: as a text of SQL, which the engine converts to what it
//! is compared with, as it does with `'…'` that somebody writes; as a number where only a number can be.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{Expr, LimitClause, Query, Value, VisitMut, VisitorMut};

use crate::error::{Error, Result};

/// Values by name.
pub type Params = BTreeMap<String, String>;

/// Puts values in the places of a statement's parameters. `$1` and the like are left to `PREPARE`.
///
/// # Errors
/// Where one has no value, or one that cannot be where it stands.
pub(super) fn bind(statement: &mut Statement, params: &Params) -> Result<()> {
    let flow = match statement {
        Statement::Statement(statement) => statement.visit(&mut Binder { params }),
        Statement::Explain(explain) => return bind(&mut explain.statement, params),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(&mut Binder { params }),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    };
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Binder<'a> {
    params: &'a Params,
}

impl Binder<'_> {
    /// The name and the value of a parameter.
    fn value<'e>(&self, expr: &'e Expr) -> Result<Option<(&'e str, &str)>> {
        let Expr::Value(value) = expr else { return Ok(None) };
        let Value::Placeholder(placeholder) = &value.value else { return Ok(None) };
        let Some(name) = placeholder.strip_prefix('$') else { return Ok(None) };
        if name.starts_with(|char: char| char.is_ascii_digit()) {
            return Ok(None);
        }
        match self.params.get(name) {
            Some(value) => Ok(Some((name, value))),
            None => Err(Error::failed(format!("the parameter {placeholder} has no value"))
                .hint(format!("give it one: --param {name}=VALUE, or \\set {name} VALUE in the shell"))
                .at_name(placeholder)),
        }
    }

    /// Puts a number in the place of a parameter.
    fn number(&self, expr: &mut Expr) -> Result<()> {
        let Some((name, value)) = self.value(expr)? else { return Ok(()) };
        let number: u64 = value.trim().parse().map_err(|_| {
            Error::failed(format!("the parameter ${name} stands where a number must, and is {value:?}"))
                .at_name(format!("${name}"))
        })?;
        *expr = Expr::value(Value::Number(number.to_string(), false));
        Ok(())
    }

    fn limits(&self, query: &mut Query) -> Result<()> {
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                limit.as_mut().map_or(Ok(()), |limit| self.number(limit))?;
                offset.as_mut().map_or(Ok(()), |offset| self.number(&mut offset.value))?;
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                self.number(offset)?;
                self.number(limit)?;
            }
            None => {}
        }
        match query.fetch.as_mut().and_then(|fetch| fetch.quantity.as_mut()) {
            Some(quantity) => self.number(quantity),
            None => Ok(()),
        }
    }
}

impl VisitorMut for Binder<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        match self.limits(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let text = match self.value(expr) {
            Ok(Some((_, value))) => value.to_owned(),
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => return ControlFlow::Break(error),
        };
        *expr = Expr::value(Value::SingleQuotedString(text));
        ControlFlow::Continue(())
    }
}
