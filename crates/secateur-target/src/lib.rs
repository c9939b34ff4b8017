//! What a target is: cores, features, caches, memory and pipeline, as plain figures.
//!
//! The known targets are the files `targets/*.toml` at the root of the repository. They are part of the program; a
//! path to a file of the same form works as well. Each file names the source of each figure.

use secateur_diag::Result;
use serde::{Deserialize, Serialize};

mod load;

/// A board that code is made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What `--target` takes.
    pub name: String,
    /// What a person calls it.
    pub title: String,
    /// System on chip.
    pub soc: String,
    /// The core, spelled as compilers spell it: `cortex-a72`.
    pub core: String,
    /// Number of cores.
    pub cores: u32,
    /// Highest clock that a board keeps as shipped.
    pub clock_mhz: u32,
    /// Channel counts that are a multiple of this leave no lane of a kernel idle.
    pub channel_multiple: u32,
    /// Optional parts of the instruction set.
    pub features: Features,
    /// The caches.
    pub caches: Caches,
    /// Main memory.
    pub memory: Memory,
    /// What a core does in a cycle.
    pub pipeline: Pipeline,
}

/// Optional parts of the instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Advanced SIMD. Always true for AArch64.
    pub neon: bool,
    /// `sdot` and `udot` (FEAT_DotProd).
    pub dotprod: bool,
    /// Half-precision arithmetic in vectors (FEAT_FP16).
    pub fp16: bool,
}

/// The caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caches {
    /// First level, instructions; one for each core.
    pub l1i: Cache,
    /// First level, data; one for each core.
    pub l1d: Cache,
    /// Second level.
    pub l2: Cache,
    /// Third level, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l3: Option<Cache>,
}

/// One cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Size in KiB.
    pub kib: u32,
    /// Ways of each set.
    pub ways: u32,
    /// Bytes of a line.
    pub line: u32,
    /// Whether all cores share it.
    #[serde(default)]
    pub shared: bool,
}

/// Main memory, in 10⁹ bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Bus width times transfer rate.
    pub peak_gbs: f64,
    /// What one core reads in a long run.
    pub read_gbs: f64,
    /// What one core copies (each byte counted once) in a long run.
    pub copy_gbs: f64,
}

/// What one core does in a cycle. "Vector" means 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Whether instructions wait for those before them.
    pub in_order: bool,
    /// Instructions decoded in a cycle.
    pub issue_width: u32,
    /// Vector `fmla` started in a cycle.
    pub fmla_per_cycle: f64,
    /// Cycles from a vector `fmla` to the use of its result by anything but an addend.
    pub fmla_latency: u32,
    /// Cycles from a vector `fmla` to the next one that adds to its result.
    pub fmla_chain: u32,
    /// Widening 8-bit vector multiply-adds (`smlal`, eight products each) started in a cycle.
    pub smlal_per_cycle: f64,
    /// Vector `sdot` (sixteen products each) started in a cycle; zero without the feature.
    pub sdot_per_cycle: f64,
    /// Bytes that vector loads bring from the first level in a cycle.
    pub load_bytes_per_cycle: u32,
    /// Cycles from a vector load to the use of its result.
    pub load_latency: u32,
}

impl Target {
    /// All known targets, from the smallest to the largest board.
    pub fn all() -> &'static [Target] {
        load::all()
    }

    /// The target of that name, or the one described by the file at that path.
    pub fn load(name_or_path: &str) -> Result<Target> {
        load::load(name_or_path)
    }

    /// Reads a target file; `place` is what messages call it.
    pub fn parse(text: &str, place: &str) -> Result<Target> {
        load::parse(text, place)
    }

    /// The most f32 multiply-adds that one core does in a cycle.
    pub fn f32_macs_per_cycle(&self) -> f64 {
        4.0 * self.pipeline.fmla_per_cycle
    }

    /// The most 8-bit multiply-adds that one core does in a cycle.
    pub fn int8_macs_per_cycle(&self) -> f64 {
        (16.0 * self.pipeline.sdot_per_cycle).max(8.0 * self.pipeline.smlal_per_cycle)
    }
}

impl Cache {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.kib as usize * 1024
    }

    /// Number of sets.
    pub fn sets(&self) -> usize {
        self.bytes() / (self.ways as usize * self.line as usize)
    }
}
