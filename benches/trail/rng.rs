//! Random numbers that are the same everywhere and always (splitmix64).

use std::fmt::Write;

pub struct Rng(u64);

impl Rng {
    /// The stream of numbers that belongs to one thing, such as an account of a trail: streams of different things
    /// have nothing to do with each other, so generating less of one changes nothing in another.
    pub fn of(seed: u64, thing: &[u64]) -> Rng {
        let mut rng = Rng(seed);
        for &part in thing {
            rng.0 = rng.next() ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound - 1`; 0 where there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `choices`, each as likely.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// One of `choices`, the first ones much more often than the last ones.
    pub fn favour<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let bound = 1 + self.below(choices.len() as u64);
        &choices[self.below(bound) as usize]
    }

    /// Log-normal with median 1: most are small, few are huge.
    pub fn heavy_tailed(&mut self, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        (sigma * radius * (std::f64::consts::TAU * self.unit()).cos()).exp()
    }

    pub fn hex(&mut self, to: &mut String, digits: usize) {
        self.chars(to, digits, b"0123456789abcdef");
    }

    /// The ids of IAM and request ids of S3 and DynamoDB are made of these.
    pub fn upper(&mut self, to: &mut String, chars: usize) {
        self.chars(to, chars, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    }

    pub fn base64(&mut self, to: &mut String, chars: usize) {
        self.chars(to, chars, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    }

    pub fn alphanumeric(&mut self, to: &mut String, chars: usize) {
        self.chars(to, chars, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    }

    /// A random (version 4) UUID.
    pub fn uuid(&mut self, to: &mut String) {
        let (high, low) = (self.next(), self.next());
        let _ = write!(
            to,
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        );
    }

    fn chars(&mut self, to: &mut String, count: usize, alphabet: &[u8]) {
        for _ in 0..count {
            to.push(char::from(*self.pick(alphabet)));
        }
    }
}
