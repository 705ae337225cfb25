//! Finding equal texts fast: what makes of a column of texts a few distinct ones, and a number a row.

/// Texts compared before one is taken for new. Only texts made to collide come near, and they must not cost more than
/// others: taken for new, a text has two numbers, which costs bytes and nothing else.
const MOST_PROBES: usize = 64;

/// The numbers of distinct texts, which somebody else holds.
#[derive(Debug, Default)]
pub struct Interner {
    /// Open addressing; a power of two of them, none to begin with.
    slots: Vec<Slot>,
    used: usize,
}

/// The number 0 marks a free one.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u32,
    number: u32,
}

impl Interner {
    /// The number of the text with this [`hash`] for which `is_same` says so; where there is none, `next`, which is the
    /// text's from now on. `next` is not 0.
    #[inline]
    pub fn number(&mut self, hash: u32, next: u32, mut is_same: impl FnMut(u32) -> bool) -> u32 {
        if self.used * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        for _ in 0..MOST_PROBES {
            let slot = self.slots[at];
            if slot.number == 0 {
                self.slots[at] = Slot { hash, number: next };
                self.used += 1;
                return next;
            }
            if slot.hash == hash && is_same(slot.number) {
                return slot.number;
            }
            at = (at + 1) & mask;
        }
        next
    }

    /// Roughly the memory it holds.
    pub fn memory_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        self.used = 0;
        for slot in old.into_iter().filter(|slot| slot.number != 0) {
            let mut at = slot.hash as usize & (slots - 1);
            // One that finds no place is only taken for new when it comes again.
            for _ in 0..MOST_PROBES {
                if self.slots[at].number == 0 {
                    self.slots[at] = slot;
                    self.used += 1;
                    break;
                }
                at = (at + 1) & (slots - 1);
            }
        }
    }
}

/// Whether two texts are equal; faster than `==` on slices where they are short or soon differ.
#[inline]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    let length = left.len();
    if length != right.len() {
        return false;
    }
    // Two loads that overlap cover what is shorter than both.
    match length {
        0..8 => left.iter().zip(right).all(|(left, right)| left == right),
        8..=16 => {
            left.first_chunk::<8>() == right.first_chunk::<8>()
                && left.last_chunk::<8>() == right.last_chunk::<8>()
        }
        17..=32 => {
            left.first_chunk::<16>() == right.first_chunk::<16>()
                && left.last_chunk::<16>() == right.last_chunk::<16>()
        }
        _ => left.first_chunk::<16>() == right.first_chunk::<16>() && left == right,
    }
}

/// A number that differs between most different texts. The same on every machine, because what is numbered twice
/// depends on it.
#[inline]
pub fn hash(text: &[u8]) -> u32 {
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xe703_7ed1_a0b4_28db;
    let fold = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        (product >> 64) as u64 ^ product as u64
    };
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let half = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let mut state = FIRST ^ text.len() as u64;
    let mut rest = text;
    while rest.len() > 16 {
        state = fold(word(rest) ^ state, word(&rest[8..]) ^ SECOND);
        rest = &rest[16..];
    }
    let (left, right) = match rest.len() {
        8.. => (word(rest), word(&rest[rest.len() - 8..])),
        4.. => (half(rest), half(&rest[rest.len() - 4..])),
        length => (rest.iter().fold(0, |bytes, &byte| bytes << 8 | u64::from(byte)), length as u64),
    };
    let state = fold(left ^ state, right ^ SECOND);
    (state >> 32) as u32 ^ state as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers texts, keeping them.
    fn number<'a>(interner: &mut Interner, known: &mut Vec<&'a str>, hash: u32, text: &'a str) -> u32 {
        let next = known.len() as u32 + 1;
        let number = interner.number(hash, next, |number| known[number as usize - 1] == text);
        if number == next {
            known.push(text);
        }
        number
    }

    #[test]
    fn equal_texts_have_one_number_and_others_another() {
        let texts: Vec<String> = (0..5_000).map(|at| format!("{}{at}", "x".repeat(at % 40))).collect();
        let (mut interner, mut known) = (Interner::default(), Vec::new());
        for _ in 0..2 {
            for (at, text) in texts.iter().enumerate() {
                let found = number(&mut interner, &mut known, hash(text.as_bytes()), text);
                assert_eq!(found, at as u32 + 1, "{text}");
            }
        }
    }

    #[test]
    fn same_is_equality() {
        let text: Vec<u8> = (0..80).collect();
        for length in 0..text.len() {
            assert!(same(&text[..length], &text[..length]));
            assert!(!same(&text[..length], &text[..=length]));
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 1;
                assert!(!same(&text[..length], &other), "{length} {at}");
            }
        }
    }

    #[test]
    fn texts_that_collide_cost_no_more_than_others() {
        let texts: Vec<String> = (0..1_000).map(|at| at.to_string()).collect();
        let (mut interner, mut known) = (Interner::default(), Vec::new());
        for text in &texts {
            number(&mut interner, &mut known, 7, text);
        }
        let mut compared = 0;
        let next = known.len() as u32 + 1;
        assert_eq!(
            interner.number(7, next, |_| {
                compared += 1;
                false
            }),
            next
        );
        assert!(compared <= MOST_PROBES, "{compared}");
        assert!(interner.slots.len() <= 256);
    }
}
