//! The `unmapped` column while it is written.

/// The JSON object `unmapped` while it is written: objects are opened only once they have a member.
#[derive(Default)]
pub(super) struct Overflow {
    text: Vec<u8>,
    /// The keys of the objects being flattened, outermost first.
    path: Vec<&'static str>,
    /// How many of them are open in `text`.
    open: usize,
}

impl Overflow {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.path.clear();
        self.open = 0;
    }

    /// Bytes written so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// What is added from here on belongs to the object at `key`.
    pub(super) fn enter(&mut self, key: &'static str) {
        self.path.push(key);
    }

    /// Ends the innermost object.
    pub(super) fn leave(&mut self) {
        self.path.pop();
        if self.open > self.path.len() {
            self.text.push(b'}');
            self.open = self.path.len();
        }
    }

    fn comma(&mut self) {
        if self.text.is_empty() {
            self.text.push(b'{');
        } else if self.text.last() != Some(&b'{') {
            self.text.push(b',');
        }
    }

    /// Adds a member; `key` is a JSON string with its quotes.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        while self.open < self.path.len() {
            self.comma();
            let step = self.path[self.open];
            self.text.extend_from_slice(b"\"");
            self.text.extend_from_slice(step.as_bytes());
            self.text.extend_from_slice(b"\":{");
            self.open += 1;
        }
        self.comma();
        self.text.extend_from_slice(key);
        self.text.push(b':');
        self.text.extend_from_slice(value);
    }

    /// Adds a member whose key is one of ours, which needs no escapes.
    pub(super) fn add_key(&mut self, key: &str, value: &[u8]) {
        self.add(format!("\"{key}\"").as_bytes(), value);
    }

    /// The object's text; empty where nothing was added.
    pub(super) fn finish(&mut self) -> &[u8] {
        if !self.text.is_empty() {
            self.text.push(b'}');
        }
        &self.text
    }
}
