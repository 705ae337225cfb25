//! JSON values for comparison, read by other code than the program's own: strings as UTF-16 units (so that half surrogate
//! pairs have a value), numbers by value and exactly, objects without key order, the last of several equal keys winning.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Null,
    Bool(bool),
    /// Sign, digits without zeros at either end, and the power of ten they are multiplied by.
    Number(bool, String, i64),
    Text(Vec<u16>),
    List(Vec<Value>),
    Object(BTreeMap<Vec<u16>, Value>),
}

impl Value {
    /// Reads one value that `text` consists of.
    pub fn read(text: &str) -> Result<Value, String> {
        let mut values = Value::read_all(text)?;
        match values.len() {
            1 => Ok(values.remove(0)),
            other => Err(format!("{other} values")),
        }
    }

    /// Reads values that follow each other.
    pub fn read_all(text: &str) -> Result<Vec<Value>, String> {
        let mut reader = Reader { whole: text, text: text.as_bytes(), at: 0 };
        let mut values = Vec::new();
        loop {
            reader.space();
            if reader.at == reader.text.len() {
                return Ok(values);
            }
            values.push(reader.value()?);
        }
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => members.get(&units(key)),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Value]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    /// The text of a string that is no half surrogate pair.
    pub fn text(&self) -> Option<String> {
        match self {
            Value::Text(units) => String::from_utf16(units).ok(),
            _ => None,
        }
    }
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

struct Reader<'a> {
    whole: &'a str,
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), String> {
        self.space();
        if self.text.get(self.at) == Some(&byte) {
            self.at += 1;
            return Ok(());
        }
        Err(format!("{:?} is missing at byte {}", char::from(byte), self.at))
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        match self.text.get(self.at) {
            Some(b'{') => {
                self.at += 1;
                let mut members = BTreeMap::new();
                if self.take(b'}').is_ok() {
                    return Ok(Value::Object(members));
                }
                loop {
                    self.space();
                    let key = self.string()?;
                    self.take(b':')?;
                    members.insert(key, self.value()?);
                    if self.take(b'}').is_ok() {
                        return Ok(Value::Object(members));
                    }
                    self.take(b',')?;
                }
            }
            Some(b'[') => {
                self.at += 1;
                let mut values = Vec::new();
                if self.take(b']').is_ok() {
                    return Ok(Value::List(values));
                }
                loop {
                    values.push(self.value()?);
                    if self.take(b']').is_ok() {
                        return Ok(Value::List(values));
                    }
                    self.take(b',')?;
                }
            }
            Some(b'"') => self.string().map(Value::Text),
            Some(_) => self.word(),
            None => Err("the text ends".into()),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        {
            self.at += 1;
        }
        let word = std::str::from_utf8(&self.text[start..self.at]).map_err(|error| error.to_string())?;
        match word {
            "null" => return Ok(Value::Null),
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        number(word).ok_or_else(|| format!("{word:?} at byte {start} is no value"))
    }

    fn string(&mut self) -> Result<Vec<u16>, String> {
        self.take(b'"')?;
        let mut units = Vec::new();
        loop {
            let rest = &self.whole[self.at..];
            let next = rest.chars().next().ok_or("a string does not end")?;
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(units),
                '\\' => {
                    let escape = *self.text.get(self.at).ok_or("a string does not end")?;
                    self.at += 1;
                    units.push(match escape {
                        b'b' => 8,
                        b'f' => 12,
                        b'n' => 10,
                        b'r' => 13,
                        b't' => 9,
                        b'"' | b'\\' | b'/' => u16::from(escape),
                        b'u' => {
                            let hex = rest.get(2..6).ok_or("an escape does not end")?;
                            self.at += 4;
                            u16::from_str_radix(hex, 16).map_err(|error| error.to_string())?
                        }
                        other => return Err(format!("no escape: {other}")),
                    });
                }
                '\0'..='\x1f' => return Err("a raw control character".into()),
                other => units.extend(other.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }
}

fn number(word: &str) -> Option<Value> {
    let (negative, word) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (word, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (mantissa, ""),
    };
    let digits = format!("{whole}{fraction}");
    let plain = whole == "0" || !whole.starts_with('0');
    if whole.is_empty() || !plain || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let leading = digits.trim_start_matches('0');
    let trimmed = leading.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some(Value::Number(false, String::new(), 0));
    }
    let power = exponent - fraction.len() as i64 + (leading.len() - trimmed.len()) as i64;
    Some(Value::Number(negative, trimmed.to_owned(), power))
}
