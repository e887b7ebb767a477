//! Numbers drawn from a seed, the same in every run, and bytes spoilt with them. Main type:
//! [`Dice`].

/// A generator of numbers (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `below`.
    pub(crate) fn draw(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % below.max(1)
    }

    /// Some bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.draw(256) as u8).collect()
    }

    /// The same bytes but for a few: changed, left out, doubled, or cut short.
    pub(crate) fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut spoilt = bytes.to_vec();
        for _ in 0..=self.draw(4) {
            let at = self.draw(spoilt.len());
            match self.draw(8) {
                0 => spoilt.truncate(at),
                1 if at < spoilt.len() => drop(spoilt.remove(at)),
                2 => spoilt.insert(at, self.draw(256) as u8),
                3 if at < spoilt.len() => spoilt[at] = [0, 0x7f, 0x80, 0xff][self.draw(4)],
                _ if at < spoilt.len() => spoilt[at] ^= 1 << self.draw(8),
                _ => {}
            }
        }
        spoilt
    }
}
