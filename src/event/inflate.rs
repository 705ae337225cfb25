//! gzip to text, decided by magic bytes and never by name: clients that honour `Content-Encoding` leave plain JSON under
//! `.gz` names, archives concatenate members, and some tools compress twice.

use std::fmt;

use libdeflate_sys as sys;

/// Why an object could not be inflated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InflateError {
    /// The gzip data is damaged or cut short; `member` counts from 1.
    Damaged {
        /// The gzip member that failed.
        member: usize,
    },
    /// The text would be larger than `limit_bytes`.
    TooLarge {
        /// The limit that was set.
        limit_bytes: usize,
    },
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::Damaged { member: 1 } => f.write_str("damaged or truncated gzip"),
            InflateError::Damaged { member } => write!(f, "damaged or truncated gzip (member {member})"),
            InflateError::TooLarge { limit_bytes } => {
                write!(f, "inflates to more than {} MiB", limit_bytes >> 20)
            }
        }
    }
}

/// Gzip inside gzip, at most this deep.
const NESTED: usize = 3;

/// DEFLATE cannot shrink data more than this.
const MOST_RATIO: usize = 1032;

/// The CRC-32 and the length modulo 2^32 at the end of gzip data, of its last member (RFC 1952, section 2.3.1): what is
/// known of the text without reading it. `None` where `data` is no gzip.
pub fn trailer(data: &[u8]) -> Option<(u32, u32)> {
    let (_, &[a, b, c, d, e, f, g, h]) =
        data.split_last_chunk().filter(|(before, _)| before.starts_with(&[0x1f, 0x8b]))?;
    Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
}

/// The size that the gzip trailer gives the text (exact for one member below 4 GiB), or the data's own for plain text.
/// Good enough to reserve memory by; never trusted.
pub fn likely_size(data: &[u8]) -> usize {
    match data {
        [0x1f, 0x8b, ..] if data.len() >= 18 => {
            let mut size = [0; 4];
            size.copy_from_slice(&data[data.len() - 4..]);
            let size = usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX);
            size.min(data.len().saturating_mul(MOST_RATIO))
        }
        _ => data.len(),
    }
}

/// Inflates into a buffer again and again.
pub struct Inflater {
    decompressor: Decompressor,
}

impl Default for Inflater {
    fn default() -> Self {
        Inflater { decompressor: Decompressor::new() }
    }
}

impl Inflater {
    /// Appends the text of `data` to `out`: `data` itself where it is not gzip. On failure `out` is as it was.
    ///
    /// # Errors
    /// Where the gzip data is damaged, or the text is larger than `limit_bytes`.
    pub fn inflate(
        &mut self,
        data: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        let before = out.len();
        let done = self.inflate_all(data, limit_bytes, out);
        if done.is_err() {
            out.truncate(before);
        }
        done
    }

    fn inflate_all(
        &mut self,
        data: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        let start = out.len();
        if !is_gzip(data) {
            if data.len() > limit_bytes {
                return Err(InflateError::TooLarge { limit_bytes });
            }
            out.extend_from_slice(data);
            return Ok(());
        }
        self.members(data, limit_bytes, start, out)?;
        for _ in 1..NESTED {
            if !is_gzip(&out[start..]) {
                break;
            }
            let inner = out.split_off(start);
            self.members(&inner, limit_bytes, start, out)?;
        }
        Ok(())
    }

    fn members(
        &mut self,
        data: &[u8],
        limit_bytes: usize,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        let mut rest = data;
        let mut member = 1;
        loop {
            let mut room = likely_size(rest).max(64);
            let consumed = loop {
                let left = limit_bytes - (out.len() - start);
                // One byte more than is left: a text of exactly the limit must not look too large.
                match self.decompressor.member(rest, room.min(left.saturating_add(1)), out) {
                    Member::Done { consumed } => break consumed,
                    Member::NeedsRoom if room > left => return Err(InflateError::TooLarge { limit_bytes }),
                    Member::NeedsRoom => room = room.saturating_mul(4),
                    Member::Damaged => return Err(InflateError::Damaged { member }),
                }
            };
            if out.len() - start > limit_bytes {
                return Err(InflateError::TooLarge { limit_bytes });
            }
            rest = &rest[consumed..];
            // Zero padding after the last member is what tape and some uploaders leave; gzip(1) ignores it too.
            if rest.iter().all(|&byte| byte == 0) {
                return Ok(());
            }
            member += 1;
        }
    }
}

fn is_gzip(data: &[u8]) -> bool {
    data.starts_with(&[0x1f, 0x8b])
}

enum Member {
    Done { consumed: usize },
    NeedsRoom,
    Damaged,
}

/// libdeflate's decompressor. The only code of this crate that calls C.
struct Decompressor(std::ptr::NonNull<sys::libdeflate_decompressor>);

// SAFETY: a decompressor is plain memory with no tie to the thread that made it; libdeflate only forbids using one from
// two threads at once, which `&mut self` does too.
unsafe impl Send for Decompressor {}

impl Decompressor {
    fn new() -> Self {
        // SAFETY: no arguments; null means that memory could not be allocated.
        let made = unsafe { sys::libdeflate_alloc_decompressor() };
        match std::ptr::NonNull::new(made) {
            Some(made) => Decompressor(made),
            None => std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 1 << 15]>()),
        }
    }

    /// Appends one gzip member's text, at most `room_bytes` of it, to `out`.
    fn member(&mut self, data: &[u8], room_bytes: usize, out: &mut Vec<u8>) -> Member {
        out.reserve(room_bytes);
        let (mut consumed, mut produced) = (0, 0);
        // SAFETY: input and output are described by their own lengths, the output being spare capacity reserved just
        // above; libdeflate writes at most `room_bytes` and says how many.
        let result = unsafe {
            sys::libdeflate_gzip_decompress_ex(
                self.0.as_ptr(),
                data.as_ptr().cast(),
                data.len(),
                out.spare_capacity_mut().as_mut_ptr().cast(),
                room_bytes,
                &mut consumed,
                &mut produced,
            )
        };
        match result {
            sys::libdeflate_result_LIBDEFLATE_SUCCESS => {
                // SAFETY: libdeflate has initialized `produced` bytes, no more than were reserved.
                unsafe { out.set_len(out.len() + produced.min(room_bytes)) };
                Member::Done { consumed: consumed.min(data.len()) }
            }
            sys::libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Member::NeedsRoom,
            _ => Member::Damaged,
        }
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: allocated by libdeflate in `new`, freed once.
        unsafe { sys::libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut out = vec![0; compressor.gzip_compress_bound(text.len())];
        let size = compressor.gzip_compress(text, &mut out).unwrap();
        out.truncate(size);
        out
    }

    fn inflate(data: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = b"before".to_vec();
        let result = Inflater::default().inflate(data, limit, &mut out);
        assert!(out.starts_with(b"before"));
        result.map(|()| out[6..].to_vec()).inspect_err(|_| assert_eq!(out, b"before"))
    }

    #[test]
    fn plain_single_many_double_and_padded() {
        let many = [gzip(b"one"), gzip(b""), gzip(b"two")].concat();
        assert_eq!(inflate(b"plain", 5).unwrap(), b"plain");
        assert_eq!(inflate(&gzip(b"one"), 3).unwrap(), b"one");
        assert_eq!(inflate(&many, 6).unwrap(), b"onetwo");
        assert_eq!(inflate(&gzip(&many), 100).unwrap(), b"onetwo");
        assert_eq!(inflate(&[gzip(b"one"), vec![0; 512]].concat(), 3).unwrap(), b"one");
        // Members of equal size and content: the trailer cannot tell how many there are.
        assert_eq!(inflate(&gzip(b"one").repeat(3), 9).unwrap(), b"oneoneone");
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let whole = gzip(&b"some text that is long enough to be cut anywhere ".repeat(20));
        for cut in 2..whole.len() {
            assert!(
                matches!(inflate(&whole[..cut], 1 << 20), Err(InflateError::Damaged { member: 1 })),
                "{cut}"
            );
        }
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        assert!(inflate(&flipped, 1 << 20).is_err());
        let second_cut = [whole.clone(), whole[..20].to_vec()].concat();
        assert_eq!(inflate(&second_cut, 1 << 20), Err(InflateError::Damaged { member: 2 }));
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit_however_it_lies_about_its_size() {
        let mut bomb = gzip(&vec![b' '; 8 << 20]);
        assert_eq!(inflate(&bomb, (8 << 20) - 1), Err(InflateError::TooLarge { limit_bytes: (8 << 20) - 1 }));
        assert_eq!(inflate(&bomb, 8 << 20).unwrap().len(), 8 << 20);
        let end = bomb.len();
        bomb[end - 4..].copy_from_slice(&1u32.to_le_bytes());
        assert_eq!(inflate(&bomb, 1 << 20), Err(InflateError::TooLarge { limit_bytes: 1 << 20 }));
        let members = gzip(&vec![b' '; 1 << 20]).repeat(4);
        assert_eq!(inflate(&members, 3 << 20), Err(InflateError::TooLarge { limit_bytes: 3 << 20 }));
    }
}
