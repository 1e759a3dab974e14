//! Randomness that a seed repeats: splitmix64.

pub struct Random(u64);

impl Random {
    /// Seeds that follow each other give sequences that have nothing in common.
    pub fn new(seed: u64) -> Random {
        let mut random = Random(seed);
        Random(random.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to `n`, without it.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }

    pub fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        let at = self.below(among.len() as u64);
        among[usize::try_from(at).expect("an index")].clone()
    }
}
