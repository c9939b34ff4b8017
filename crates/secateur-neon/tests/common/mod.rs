//! What tests of kernels share: running a specification under the emulator, checking numbers, random numbers.
#![allow(dead_code)]

pub mod conv;

use secateur_neon::{Core, KernelSpec, listing};
use secateur_qemu::{Argument, Case, Counts, Failure};

/// Runs kernels on one emulated core.
pub struct Runner {
    inner: secateur_qemu::Runner,
    pub core: Core,
}

/// The results of a call: the output buffer, first.
pub struct Results {
    pub outputs: Vec<Vec<u8>>,
    pub counts: Option<Counts>,
}

impl Results {
    /// The first output as floats.
    pub fn floats(&self) -> Vec<f32> {
        floats(&self.outputs[0])
    }
}

/// Bytes as floats.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}

/// Floats as bytes.
pub fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|f| f.to_le_bytes()).collect()
}

impl Runner {
    pub fn new(core: Core) -> Runner {
        let inner = secateur_qemu::Runner::new(core.name());
        Runner { inner: inner.unwrap_or_else(|e| panic!("{e}")), core }
    }

    /// Counts instructions as well.
    pub fn counting(core: Core) -> Runner {
        let inner = secateur_qemu::Runner::counting(core.name(), None);
        Runner { inner: inner.unwrap_or_else(|e| panic!("{e}")), core }
    }

    /// One runner for each core.
    pub fn all() -> Vec<Runner> {
        Core::ALL.into_iter().map(Runner::new).collect()
    }

    /// Calls the kernel with an output of this many bytes, up to three inputs, and constants, which are packed.
    pub fn run(
        &mut self,
        spec: &KernelSpec,
        output: usize,
        inputs: &[&[u8]],
        constants: &[&[f32]],
    ) -> Result<Results, Failure> {
        let inputs = inputs.iter().map(|i| Argument::Input(i)).collect();
        self.call(spec, Argument::Output(output), inputs, constants)
    }

    /// The same with the choice of how each argument is passed.
    pub fn call(
        &mut self,
        spec: &KernelSpec,
        output: Argument,
        inputs: Vec<Argument>,
        constants: &[&[f32]],
    ) -> Result<Results, Failure> {
        let code = spec.generate(self.core).unwrap_or_else(|e| panic!("{e}: {spec:?}"));
        assert!(code.relocations.is_empty());
        let packed = spec.pack(constants, self.core);
        let mut arguments = vec![output];
        arguments.extend(inputs);
        arguments.resize(4, Argument::Null);
        arguments.push(if packed.is_empty() { Argument::Null } else { Argument::Input(&packed) });
        let scratch = spec.scratch_bytes(self.core);
        arguments.push(if scratch == 0 { Argument::Null } else { Argument::Scratch(scratch) });
        let case = Case::new(&code.bytes, arguments);
        let returned = self.inner.run(&case).inspect_err(|_| eprintln!("{spec:?}\n{}", listing(&code)))?;
        Ok(Results { outputs: returned.outputs, counts: returned.counts })
    }
}

/// A sequence that looks random and is the same every time (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `-size` to `size`.
    pub fn float(&mut self, size: f32) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 * size - size
    }

    pub fn floats(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.float(size)).collect()
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }
}

/// Fails with the worst element if any differs by more than `tolerance`, relative to its size or 1.
#[track_caller]
pub fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let fine = f == e || f.is_nan() && e.is_nan() || (f - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(fine, "element {i} of {}: {f} instead of {e}", found.len());
    }
}

/// Fails if any element differs in any bit; NaNs are all the same.
#[track_caller]
pub fn same(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let fine = f.to_bits() == e.to_bits() || f.is_nan() && e.is_nan();
        assert!(fine, "element {i} of {}: {f:e} instead of {e:e}", found.len());
    }
}

/// Runs `check` on this many values, the same every time, on the cores in turn, counting instructions. The variable
/// `SECATEUR_CASES` says how many times as many.
pub fn property<S: proptest::strategy::Strategy>(
    cases: u32,
    strategy: S,
    check: impl Fn(&mut Runner, S::Value, u64),
) {
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let state = std::cell::RefCell::new((Core::ALL.map(Runner::counting), 0));
    let times = std::env::var("SECATEUR_CASES").ok().and_then(|t| t.parse().ok()).unwrap_or(1);
    let config = Config {
        cases: cases * times,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        .run(&strategy, |value| {
            let (runners, turn) = &mut *state.borrow_mut();
            *turn += 1;
            check(&mut runners[*turn % 3], value, *turn as u64);
            Ok(())
        })
        .unwrap();
}
