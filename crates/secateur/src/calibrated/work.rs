//! How much work the stages of a run are, and how far it is.

/// Multiply-adds of products and solutions that take as long as one of a run in the engine.
const ENGINE: f64 = 3.5;
/// The same for runs forwards and backwards.
const BACKWARDS: f64 = 3.2;
/// What rectifiers and sums take of a compensation, by pass.
const TARGETS: f64 = 20.0;

/// What the estimates are made of: multiply-adds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// One run over all samples.
    pub pass: f64,
    /// Products of all layers' inputs with themselves.
    pub products: f64,
    /// Solutions of all layers.
    pub solutions: f64,
    /// Runs for the sensitivity of all groups.
    pub sensitivity: f64,
}

/// What of a run is done.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Whether groups are measured and cut.
    pub cut: bool,
    /// Whether outputs are measured for sensitivity.
    pub sensitivity: bool,
    /// Whether classes are exchanged.
    pub exchange: bool,
    /// Whether layers get zeros.
    pub zeros: bool,
    /// Passes of the reconstruction, 0 for none.
    pub epochs: usize,
    /// Whether the result is quantized.
    pub quantize: bool,
}

/// The stages to come, with their work in one unit.
pub fn outline(w: &Work, steps: &[usize], asked: Asked) -> Vec<(&'static str, f64)> {
    let statistics = ("statistics", ENGINE * w.pass + w.products);
    let look = [statistics, ("order of removal", 2.0 * w.solutions), ("sensitivity", ENGINE * w.sensitivity)];
    let look =
        |out: &mut Vec<_>| out.extend(look.iter().filter(|l| asked.sensitivity || l.0 != "sensitivity"));
    // Both networks, moments, and targets.
    let fit = (2.0 * ENGINE + TARGETS) * w.pass + w.products + 8.0 * w.solutions;
    let mut out = Vec::new();
    if asked.cut {
        look(&mut out);
    }
    for &steps in steps {
        for step in 1..=steps {
            if asked.cut && step > 1 {
                look(&mut out);
            }
            if asked.cut && asked.exchange {
                out.push(("exchanges", w.solutions));
            }
            if asked.zeros && step == steps {
                out.extend([statistics, ("zeros by layer", ENGINE * w.sensitivity + 10.0 * w.solutions)]);
            }
            out.push(("compensation", fit));
        }
    }
    if asked.epochs > 0 {
        // The original forwards, the pruned network forwards and backwards, and short runs.
        out.push(("reconstruction", BACKWARDS * 3.5 * w.pass * (asked.epochs as f64 + 4.0)));
    }
    if asked.quantize {
        out.push(("quantization", fit));
    }
    out
}

/// How far a run is.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    stages: Vec<(&'static str, f64)>,
    /// The next stage that may begin.
    next: usize,
    /// Work of the stages that are over, the current one's, and how much of that is done.
    over: f64,
    now: f64,
    within: f64,
    /// What one step of the current stage is of it.
    step: f64,
}

impl Meter {
    /// Nothing done of these stages.
    pub fn new(stages: Vec<(&'static str, f64)>) -> Self {
        Self { stages, ..Self::default() }
    }

    /// A stage of `steps` steps begins; stages before it are over or not needed. One that was not foreseen does not
    /// count.
    pub fn stage(&mut self, name: &str, steps: usize) {
        self.over += self.now;
        (self.now, self.within, self.step) = (0.0, 0.0, 1.0 / steps.max(1) as f64);
        let Some(at) = self.stages[self.next..].iter().position(|s| s.0 == name) else { return };
        self.over += self.stages[self.next..self.next + at].iter().map(|s| s.1).sum::<f64>();
        self.now = self.stages[self.next + at].1;
        self.next += at + 1;
    }

    /// A step is done.
    pub fn step(&mut self) {
        self.within = (self.within + self.step).min(1.0);
    }

    /// The share of all work that is done, 0 to 1.
    pub fn share(&self) -> f64 {
        let all: f64 = self.stages.iter().map(|s| s.1).sum();
        ((self.over + self.now * self.within) / all.max(f64::MIN_POSITIVE)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work { pass: 2e10, products: 2e11, solutions: 1e9, sensitivity: 7e10 };
    const ALL: Asked =
        Asked { cut: true, sensitivity: true, exchange: true, zeros: true, epochs: 30, quantize: false };

    #[test]
    fn the_share_grows_to_one_also_where_stages_are_left_out() {
        let stages = outline(&WORK, &[1, 2], ALL);
        let names: Vec<&str> = stages.iter().map(|s| s.0).collect();
        assert_eq!(names.iter().filter(|n| **n == "compensation").count(), 3);
        assert_eq!(names.last(), Some(&"reconstruction"));
        // The first curves come from an earlier run, and something comes that nobody knew of.
        for skipped in [0, 3] {
            let mut meter = Meter::new(stages.clone());
            let mut before = 0.0;
            for name in names[skipped..].iter().chain(&["something else"]) {
                meter.stage(name, 4);
                assert!(meter.share() >= before, "{name}");
                for _ in 0..6 {
                    meter.step();
                    assert!(meter.share() >= before && meter.share() <= 1.0, "{name}");
                    before = meter.share();
                }
            }
            assert!((before - 1.0).abs() < 1e-9, "{before}");
        }
    }

    #[test]
    fn steps_move_it_by_their_stage() {
        let mut meter = Meter::new(vec![("a", 1.0), ("b", 3.0)]);
        meter.stage("a", 2);
        meter.step();
        assert_eq!(meter.share(), 0.125);
        meter.stage("b", 3);
        assert_eq!(meter.share(), 0.25);
        meter.step();
        assert_eq!(meter.share(), 0.5);
    }

    #[test]
    fn what_is_not_asked_for_is_no_work() {
        let none = Asked {
            cut: false,
            sensitivity: false,
            exchange: false,
            zeros: false,
            epochs: 0,
            quantize: false,
        };
        let names = |asked| outline(&WORK, &[1], asked).iter().map(|s| s.0).collect::<Vec<_>>();
        assert_eq!(names(none), ["compensation"]);
        assert_eq!(names(Asked { zeros: true, ..none }), ["statistics", "zeros by layer", "compensation"]);
        assert_eq!(names(Asked { quantize: true, ..none }), ["compensation", "quantization"]);
        assert_eq!(names(Asked { cut: true, ..none }), ["statistics", "order of removal", "compensation"]);
    }
}
