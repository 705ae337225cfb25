//! One value as text.

use std::sync::Arc;

use arrow::array::{Array, UnionArray};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_functions_json::{JsonUnionEncoder, JsonUnionValue};

/// One column's values as text: scalars as people write them, lists, structs and JSON as JSON.
pub(super) enum Cells<'a> {
    /// Scalars.
    Scalar(&'a dyn Array, ArrayFormatter<'a>),
    /// Lists, structs and JSON.
    Json(NullableEncoder<'a>),
}

impl<'a> Cells<'a> {
    /// The values of `array`.
    ///
    /// # Errors
    /// Where a type has no text.
    pub(super) fn new(
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        if array.data_type().is_nested() {
            return Ok(Cells::Json(make_encoder(field, array, options)?));
        }
        // The defaults write times by RFC 3339.
        let formatter = ArrayFormatter::try_new(array, &FormatOptions::new().with_display_error(false))?;
        Ok(Cells::Scalar(array, formatter))
    }

    /// The value in a row; none where it is null.
    pub(super) fn value(&mut self, row: usize) -> Result<Option<String>, ArrowError> {
        match self {
            // An array of the null type says that none of its values is null.
            Cells::Scalar(array, _) if array.is_null(row) || array.data_type().is_null() => Ok(None),
            Cells::Scalar(_, formatter) => Ok(Some(formatter.value(row).try_to_string()?)),
            Cells::Json(encoder) if encoder.is_null(row) => Ok(None),
            Cells::Json(encoder) => {
                let mut text = Vec::new();
                encoder.encode(row, &mut text);
                let text = String::from_utf8_lossy(&text).into_owned();
                Ok((text != "null").then_some(text))
            }
        }
    }
}

/// How values are written as JSON: nulls are, too, and what `->` gives is the JSON it stands for.
pub(super) fn json_options() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(JsonValues))
}

/// Knows the union of JSON's types that `->` gives.
#[derive(Debug)]
struct JsonValues;

impl EncoderFactory for JsonValues {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let DataType::Union(_, _) = array.data_type() else {
            return Ok(None);
        };
        let union = array.as_any().downcast_ref::<UnionArray>();
        let values = union.and_then(|union| JsonUnionEncoder::from_union(union.clone()));
        Ok(values.map(|values| NullableEncoder::new(Box::new(JsonValue(values)), None)))
    }
}

struct JsonValue(JsonUnionEncoder);

impl Encoder for JsonValue {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.0.get_value(row) {
            JsonUnionValue::JsonNull => out.extend_from_slice(b"null"),
            JsonUnionValue::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
            JsonUnionValue::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            JsonUnionValue::Float(value) => {
                out.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes())
            }
            JsonUnionValue::Str(value) => {
                out.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes())
            }
            JsonUnionValue::Array(value) | JsonUnionValue::Object(value) => {
                out.extend_from_slice(value.as_bytes())
            }
        }
    }
}
