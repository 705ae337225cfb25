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
