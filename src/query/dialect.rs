//! The SQL that is understood: PostgreSQL's grammar, and what Trino and DuckDB write beyond it.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, ObjectName,
    OneOrManyWithParens,
};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Word};

/// PostgreSQL's dialect with back-quoted names, trailing commas, lambdas, and Trino's type names in casts.
///
/// PostgreSQL's is the base because `->` and `->>` bind there as people expect: `a ->> 'k' LIKE 'x%'`.
#[derive(Debug)]
pub(super) struct AnySql;

const BASE: PostgreSqlDialect = PostgreSqlDialect {};

/// Functions that take a lambda, whose `->` would else read into JSON.
const TAKE_LAMBDAS: &[&str] = &[
    "all_match",
    "any_match",
    "array_any_match",
    "array_filter",
    "array_transform",
    "filter",
    "list_any_match",
    "list_filter",
    "list_transform",
    "none_match",
    "transform",
];

impl Dialect for AnySql {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"' || ch == '`'
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        BASE.identifier_quote_style(identifier)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        BASE.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        BASE.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        ch != '`' && BASE.is_custom_operator_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        BASE.is_reserved_for_identifier(keyword)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        BASE.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        BASE.prec_value(precedence)
    }

    fn supports_trailing_commas(&self) -> bool {
        true
    }

    fn supports_from_trailing_commas(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_within_after_array_aggregation(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_explain_with_utility_options(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_set_names(&self) -> bool {
        true
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        match &parser.peek_nth_token_ref(0).token {
            Token::Word(word) if matches!(word.keyword, Keyword::CAST | Keyword::TRY_CAST) => {
                let kind = if word.keyword == Keyword::CAST { CastKind::Cast } else { CastKind::TryCast };
                (parser.peek_nth_token_ref(1).token == Token::LParen).then(|| parse_cast(parser, kind))
            }
            Token::Word(_) if parser.peek_nth_token_ref(1).token == Token::Arrow => {
                is_lambda_argument(parser).then(|| parse_lambda(parser))
            }
            Token::LParen => {
                let params = lambda_params(parser)?;
                is_lambda_argument(parser).then(|| parse_lambda_of(parser, params))
            }
            _ => None,
        }
    }
}

/// A cast, also to a type that the parser does not know; that one's text becomes a [`DataType::Custom`].
fn parse_cast(parser: &mut Parser, kind: CastKind) -> Result<Expr, ParserError> {
    parser.next_token();
    if let Some(cast) = parser.maybe_parse(|parser| parser.parse_cast_expr(kind.clone()))? {
        return Ok(cast);
    }
    parser.expect_token(&Token::LParen)?;
    let expr = parser.parse_expr()?;
    parser.expect_keyword(Keyword::AS)?;
    let mut text = String::new();
    let mut depth = 0;
    loop {
        match parser.peek_token_ref().token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => break,
            Token::RParen => depth -= 1,
            Token::EOF => return parser.expected("a type and )", parser.peek_token()),
            _ => {}
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text += &parser.next_token().to_string();
    }
    parser.expect_token(&Token::RParen)?;
    let data_type = DataType::Custom(ObjectName::from(vec![Ident::new(text)]), Vec::new());
    Ok(Expr::Cast { kind, expr: Box::new(expr), data_type, array: false, format: None })
}

/// Whether what comes next is an argument, not the first, of a function that takes lambdas.
fn is_lambda_argument(parser: &Parser) -> bool {
    let mut before = (0..parser.index())
        .rev()
        .map(|at| &parser.token_at(at).token)
        .filter(|token| !matches!(token, Token::Whitespace(_)));
    if before.next() != Some(&Token::Comma) {
        return false;
    }
    let mut depth = 0;
    while let Some(token) = before.next() {
        match token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => {
                let Some(Token::Word(Word { value, .. })) = before.next() else { return false };
                return TAKE_LAMBDAS.iter().any(|name| name.eq_ignore_ascii_case(value));
            }
            Token::LParen => depth -= 1,
            _ => {}
        }
    }
    false
}

/// The names in `(a, b) ->`, where that comes next.
fn lambda_params(parser: &Parser) -> Option<usize> {
    let mut at = 1;
    loop {
        let Token::Word(_) = parser.peek_nth_token_ref(at).token else { return None };
        match parser.peek_nth_token_ref(at + 1).token {
            Token::Comma => at += 2,
            Token::RParen if parser.peek_nth_token_ref(at + 2).token == Token::Arrow => {
                return Some(at.div_ceil(2));
            }
            _ => return None,
        }
    }
}

fn parse_lambda(parser: &mut Parser) -> Result<Expr, ParserError> {
    let name = parser.parse_identifier()?;
    lambda(parser, OneOrManyWithParens::One(LambdaFunctionParameter { name, data_type: None }))
}

fn parse_lambda_of(parser: &mut Parser, params: usize) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let mut names = Vec::with_capacity(params);
    for _ in 0..params {
        names.push(LambdaFunctionParameter { name: parser.parse_identifier()?, data_type: None });
        parser.next_token();
    }
    lambda(parser, OneOrManyWithParens::Many(names))
}

fn lambda(
    parser: &mut Parser,
    params: OneOrManyWithParens<LambdaFunctionParameter>,
) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::Arrow)?;
    let body = Box::new(parser.parse_expr()?);
    Ok(Expr::Lambda(LambdaFunction { params, body, syntax: LambdaSyntax::Arrow }))
}
