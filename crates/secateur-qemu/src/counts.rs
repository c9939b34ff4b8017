//! What the counting plugin reports.

use std::ops::Sub;

/// Which core's cache sizes the plugin models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheModel {
    /// L1I 32 KiB 2 ways, L1D 32 KiB 4 ways, L2 512 KiB 16 ways.
    A53,
    /// L1I 48 KiB 3 ways, L1D 32 KiB 2 ways, L2 1 MiB 16 ways.
    A72,
    /// L1I 64 KiB 4 ways, L1D 64 KiB 4 ways, L2 512 KiB 8 ways.
    A76,
}

impl CacheModel {
    pub(crate) fn argument(self) -> &'static str {
        match self {
            CacheModel::A53 => "cache=a53",
            CacheModel::A72 => "cache=a72",
            CacheModel::A76 => "cache=a76",
        }
    }
}

/// Instructions executed, by class, and cache lines missed and asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Vector (or scalar float) instructions that add a product to their destination: fmla, sdot, smlal...
    pub multiply_adds: u64,
    /// Other vector and float instructions.
    pub vector: u64,
    /// Loads of vector registers.
    pub vector_loads: u64,
    /// Stores of vector registers.
    pub vector_stores: u64,
    /// Loads of general registers.
    pub loads: u64,
    /// Stores of general registers.
    pub stores: u64,
    /// Branches, calls and returns.
    pub branches: u64,
    /// Prefetches.
    pub prefetches: u64,
    /// Everything else: integer arithmetic, moves, system.
    pub integer: u64,
    /// Lines missed in L1I, L1D, L2; zero without a cache model.
    pub misses: [u64; 3],
    /// Accesses of L1I (changes of line), L1D (the emulator makes two of one of 16 bytes), L2; zero without a cache model.
    pub accesses: [u64; 3],
}

impl Counts {
    /// All instructions.
    pub fn total(&self) -> u64 {
        self.words()[..9].iter().sum()
    }

    /// Of each time, when these are the counts of all of them.
    pub fn shared(&self, times: u64) -> Counts {
        Counts::from_words(self.words().map(|w| w / times.max(1)))
    }

    fn words(&self) -> [u64; 15] {
        let Counts { multiply_adds, vector, vector_loads, vector_stores, loads, stores, .. } = *self;
        let [i, d, l] = self.misses;
        let [ai, ad, al] = self.accesses;
        let rest = [self.branches, self.prefetches, self.integer, i, d, l, ai, ad, al];
        let mut words = [0; 15];
        words[..6].copy_from_slice(&[multiply_adds, vector, vector_loads, vector_stores, loads, stores]);
        words[6..].copy_from_slice(&rest);
        words
    }

    fn from_words(w: [u64; 15]) -> Counts {
        Counts {
            multiply_adds: w[0],
            vector: w[1],
            vector_loads: w[2],
            vector_stores: w[3],
            loads: w[4],
            stores: w[5],
            branches: w[6],
            prefetches: w[7],
            integer: w[8],
            misses: [w[9], w[10], w[11]],
            accesses: [w[12], w[13], w[14]],
        }
    }

    /// Reads a line of the plugin's: its name (`region`, `call 3 1`, `program`) and the counts.
    pub fn parse(line: &str) -> Option<(String, Counts)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let split = words.len().checked_sub(15).filter(|n| *n > 0)?;
        let mut counts = [0; 15];
        for (to, word) in counts.iter_mut().zip(&words[split..]) {
            *to = word.parse().ok()?;
        }
        Some((words[..split].join(" "), Counts::from_words(counts)))
    }
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, other: Counts) -> Counts {
        let (a, b) = (self.words(), other.words());
        Counts::from_words(std::array::from_fn(|i| a[i].saturating_sub(b[i])))
    }
}
