//! The two ways in which Parquet packs small numbers: runs of equal ones, and groups of eight of a fixed width
//! ("RLE/bit-packing hybrid" in the format's "Encodings").

/// Groups in a row under one header: more would need a header of two bytes, which some readers do not expect.
const MOST_GROUPS: usize = 63;

/// The bits that numbers up to `most` need.
pub(super) fn width_of(most: u32) -> u32 {
    u32::BITS - most.leading_zeros()
}

/// Appends `values`, each of which fits `width` bits.
pub(super) fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    // A run costs a header and a value, and cuts the groups around it.
    let least_run = 8.max(32 / width.max(1) as usize);
    let mut literals = 0;
    let mut at = 0;
    while at < values.len() {
        let value = values[at];
        let run = values[at..].iter().take_while(|&&next| next == value).count();
        if run >= least_run {
            groups(&values[literals..at], width, out);
            repeat(value, run, width, out);
            at += run;
            literals = at;
        } else {
            // Whole groups of eight stay whole; the rest of a run may come after them.
            let step = if run >= 8 { run / 8 * 8 } else { 8 };
            at = (at + step).min(values.len());
        }
    }
    groups(&values[literals..], width, out);
}

/// Appends one value `count` times.
pub(super) fn repeat(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    if count > 0 {
        varint((count as u64) << 1, out);
        out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
}

/// Appends values in groups of eight, the last filled up with zeros.
fn groups(values: &[u32], width: u32, out: &mut Vec<u8>) {
    for run in values.chunks(8 * MOST_GROUPS) {
        varint((run.len().div_ceil(8) as u64) << 1 | 1, out);
        let (mut bits, mut held) = (0u64, 0);
        let missing = run.len().next_multiple_of(8) - run.len();
        for &value in run.iter().chain(&[0; 8][..missing]) {
            bits |= u64::from(value) << held;
            held += width;
            if held >= 32 {
                out.extend_from_slice(&(bits as u32).to_le_bytes());
                bits >>= 32;
                held -= 32;
            }
        }
        // Eight values of any width are whole bytes.
        out.extend_from_slice(&bits.to_le_bytes()[..held as usize / 8]);
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for at in 0.. {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    /// Reads at least `count` values, as the format says.
    fn unpack(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let header = read_varint(&mut bytes);
            let amount = (header >> 1) as usize;
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                let value = value.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
                values.extend(std::iter::repeat_n(value, amount));
                bytes = rest;
            } else {
                let (packed, rest) = bytes.split_at(amount * width as usize);
                let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                let value = |at: usize| {
                    (0..width as usize).map(|to| bit(at * width as usize + to) << to).sum::<u32>()
                };
                values.extend((0..amount * 8).map(value));
                bytes = rest;
            }
        }
        assert!(bytes.is_empty());
        values
    }

    proptest! {
        #[test]
        fn packed_numbers_come_back(
            runs in proptest::collection::vec((any::<u32>(), 1usize..70), 1..60),
            width in 0u32..=32,
        ) {
            let mask = (1u64 << width) as u32;
            let fit = |value: u32| if width == 32 { value } else { value & mask.wrapping_sub(1) };
            let values: Vec<u32> =
                runs.iter().flat_map(|&(value, length)| std::iter::repeat_n(fit(value), length)).collect();
            let mut packed = Vec::new();
            pack(&values, width, &mut packed);
            let read = unpack(&packed, width, values.len());
            prop_assert_eq!(&read[..values.len()], &values[..]);
            prop_assert!(read[values.len()..].iter().all(|&filled_up| filled_up == 0));
        }
    }

    #[test]
    fn a_width_is_as_many_bits_as_are_needed() {
        assert_eq!([0, 1, 2, 3, 4, 255, 256, u32::MAX].map(width_of), [0, 1, 2, 2, 3, 8, 9, 32]);
    }
}
