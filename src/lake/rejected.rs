//! Input that could not be converted, kept verbatim with the reason: NDJSON, compressed with zstd.
//!
//! ```text
//! {"object":"s3://b/x.json.gz","size":…,"version":…,"record":3,"byte":4711,"reason":"…","data":"{\"eventID\": …"}
//! {"object":"s3://b/y.json.gz","size":…,"version":…,"reason":"truncated gzip","data_base64":"H4sIAAAA…"}
//! ```

use std::io::{BufReader, Read};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// A record, or a whole object, that could not be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The URL of the object.
    pub object: String,
    /// Its size and its ETag or modification time, which tell it from another under its URL.
    pub size: u64,
    /// See `size`.
    pub version: String,
    /// Which record of the object, from 1; none where the object as a whole is meant.
    pub record: Option<u64>,
    /// Where in the inflated object it begins, in bytes from 0.
    pub byte: Option<u64>,
    /// Why.
    pub reason: String,
    /// The bytes themselves.
    pub data: Vec<u8>,
}

/// A line of the file: a [`Rejected`] as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The URL of the object.
    pub object: String,
    /// Its size.
    pub size: u64,
    /// Its version.
    pub version: String,
    /// Which record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// Where it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Why.
    pub reason: String,
    /// The bytes, where they are UTF-8 text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The bytes in Base64 (RFC 4648, section 4), where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
}

/// The file of these items, in their order.
///
/// # Errors
/// Where the compressor fails, for want of memory.
pub fn encode(items: &[Rejected]) -> Result<Vec<u8>> {
    let failed = || "compressing rejected records".to_owned();
    // Not through one buffer of text: the items may be large, and are few.
    let mut compressor = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL).context(failed)?;
    for item in items {
        let text = std::str::from_utf8(&item.data).ok();
        let line = Line {
            object: item.object.clone(),
            size: item.size,
            version: item.version.clone(),
            record: item.record,
            byte: item.byte,
            reason: item.reason.clone(),
            data: text.map(str::to_owned),
            data_base64: text.is_none().then(|| to_base64(&item.data)),
        };
        serde_json::to_writer(&mut compressor, &line).context(failed)?;
        std::io::Write::write_all(&mut compressor, b"\n").context(failed)?;
    }
    compressor.finish().context(failed)
}

/// The lines of a file, inflated as they are read.
///
/// # Errors
/// Where it is no such file; so are the lines.
pub fn lines<R: Read>(file: R) -> Result<impl Iterator<Item = Result<Line>> + use<R>> {
    let failed = || "reading a file of rejected records".to_owned();
    let text = BufReader::new(zstd::Decoder::new(file).context(failed)?);
    let lines = serde_json::Deserializer::from_reader(text).into_iter::<Line>();
    Ok(lines.map(move |line| line.context(failed)))
}

/// The items of a file.
///
/// # Errors
/// Where it is no such file.
pub fn decode(bytes: &[u8]) -> Result<Vec<Rejected>> {
    let failed = || "reading a file of rejected records".to_owned();
    let mut items = Vec::new();
    for line in lines(bytes)? {
        let line = line?;
        let data = match (line.data, line.data_base64) {
            (Some(data), _) => data.into_bytes(),
            (None, Some(data)) => {
                from_base64(&data).ok_or_else(|| Error::failed("no Base64")).context(failed)?
            }
            (None, None) => Vec::new(),
        };
        items.push(Rejected {
            object: line.object,
            size: line.size,
            version: line.version,
            record: line.record,
            byte: line.byte,
            reason: line.reason,
            data,
        });
    }
    Ok(items)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().enumerate().fold(0u32, |bits, (at, &byte)| bits | u32::from(byte) << (16 - 8 * at));
        for at in 0..4 {
            let six = (bits >> (18 - 6 * at)) as usize & 63;
            text.push(if at <= three.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for four in digits.chunks(4) {
        let mut bits = 0u32;
        for (at, digit) in four.iter().enumerate() {
            bits |= (ALPHABET.iter().position(|letter| letter == digit)? as u32) << (18 - 6 * at);
        }
        let [_, first, second, third] = bits.to_be_bytes();
        bytes.extend_from_slice(&[first, second, third][..four.len() - 1]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_says_all_and_no_more() {
        let items = [
            Rejected {
                object: "s3://b/x".into(),
                size: 7,
                version: "v".into(),
                record: Some(3),
                byte: Some(10),
                reason: "no object".into(),
                data: b"[1,\n2]".into(),
            },
            Rejected {
                object: "s3://b/y".into(),
                size: 8,
                version: "w".into(),
                record: None,
                byte: None,
                reason: "not gzip".into(),
                data: vec![0x1f, 0x8b, 0xff, 0xfe],
            },
        ];
        let file = encode(&items).unwrap();
        assert_eq!(encode(&items).unwrap(), file);
        let text = String::from_utf8(zstd::decode_all(file.as_slice()).unwrap()).unwrap();
        let expected = concat!(
            r#"{"object":"s3://b/x","size":7,"version":"v","record":3,"byte":10,"reason":"no object","data":"[1,\n2]"}"#,
            "\n",
            r#"{"object":"s3://b/y","size":8,"version":"w","reason":"not gzip","data_base64":"H4v//g=="}"#,
            "\n"
        );
        assert_eq!(text, expected);
        assert_eq!(decode(&file).unwrap(), items);
        assert_eq!(decode(&encode(&[]).unwrap()).unwrap(), []);
        assert!(decode(b"no zstd").is_err());
    }

    proptest! {
        #[test]
        fn every_byte_comes_back(data: Vec<u8>, record: Option<u64>, byte: Option<u64>, reason: String) {
            let item = Rejected { object: "file:///x".into(), size: 0, version: String::new(), record, byte, reason, data };
            let text = to_base64(&item.data);
            prop_assert_eq!(text.len(), item.data.len().div_ceil(3) * 4);
            prop_assert_eq!(from_base64(&text), Some(item.data.clone()));
            prop_assert_eq!(decode(&encode(std::slice::from_ref(&item)).unwrap()).unwrap(), [item]);
        }
    }
}
