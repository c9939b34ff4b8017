//! Options that `inspect`, `prune` and `compile` share.

use std::sync::Arc;

use clap::ValueEnum;
use secateur_diag::{Code, Diagnostic, Result, diag};
use secateur_prune::{Amount, Budget, Criterion, Limit, Scope, Selection};

use secateur_target::Target;

use crate::calibrated::Rating;
use crate::latency::Clock;
use crate::prune::{Analyzed, Pruned, Request};

/// How classes are rated.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CriterionName {
    /// Structured Optimal Brain Surgeon: the error that a removal leaves once the others make up for it; needs
    /// --calib, and is the default with it.
    Obs,
    /// Magnitude times the norm of the input; needs --calib.
    Wanda,
    /// Mean absolute weight.
    L1,
    /// Root mean square weight.
    L2,
    /// Distance from the other members of the group.
    Fpgm,
    /// Absolute BatchNormalization scale; BatchNormalization is then not folded.
    BnScale,
    /// By chance, from --seed.
    Random,
}

/// How groups share the budget.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    /// By what each group's removals do to the outputs; needs --calib, and is the default with it.
    Sensitivity,
    /// Every group keeps the same share.
    Layer,
    /// All groups compete.
    Global,
}

/// Sizes of symbolic dimensions.
#[derive(clap::Args, Clone, Default)]
pub struct Dims {
    /// Size of a symbolic dimension of the inputs, for counting costs.
    #[arg(long = "dim", value_name = "NAME=SIZE")]
    pub dims: Vec<String>,
}

/// What may be pruned.
#[derive(clap::Args, Clone)]
pub struct Pruning {
    /// Multiply-adds of one sample at most: 50%, 20M.
    #[arg(long, value_name = "AMOUNT")]
    macs: Option<String>,
    /// Parameters at most: 50%, 200k.
    #[arg(long, value_name = "AMOUNT")]
    params: Option<String>,
    /// Bytes of weights at most: 50%, 1.5MB.
    #[arg(long, value_name = "AMOUNT")]
    size: Option<String>,
    /// Time of one sample on one core of the target at most, by the model of its kernels: 50%, 2ms, 800us.
    #[arg(long, value_name = "AMOUNT")]
    latency: Option<String>,
    /// How channels are rated: obs with --calib, else l2, unless said otherwise.
    #[arg(long, value_enum)]
    criterion: Option<CriterionName>,
    /// How layers share the budget: sensitivity with --calib, else global, unless said otherwise.
    #[arg(long, value_enum)]
    scope: Option<ScopeName>,
    /// Seed of --criterion random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Channel counts become multiples of this; the target's preference by default, else 1.
    #[arg(long, value_name = "N")]
    round_to: Option<usize>,
    /// Keep at least so many channels of every group.
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_keep: usize,
    /// Keep an axis whole, e.g. conv1.weight.0; names as `inspect` prints them.
    #[arg(long, value_name = "NAME.AXIS")]
    pin: Vec<String>,
    /// Prune only groups with a name that matches: of a node, a weight or a value, as `inspect` prints them.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Leave groups with a name that matches.
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
    /// Also prune where removal changes what the rest computes (LayerNorm, mean over channels).
    #[arg(long)]
    allow_inexact: bool,
    /// Leave BatchNormalization as it is.
    #[arg(long)]
    keep_batchnorm: bool,
    /// Write the smallest possible model where the budget cannot be met, and replace the model itself where the output
    /// is it.
    #[arg(long)]
    pub force: bool,
}

/// `NAME=SIZE` of every --dim.
pub fn dims(d: &Dims) -> Result<Vec<(String, usize)>> {
    d.dims
        .iter()
        .map(|t| {
            let parsed =
                t.split_once('=').and_then(|(n, v)| Some((n.to_owned(), v.parse().ok().filter(|&v| v > 0)?)));
            parsed.ok_or_else(|| diag(Code::P005, format!("{t:?} is not NAME=SIZE")).help("e.g. --dim H=224"))
        })
        .collect()
}

impl Pruning {
    /// How classes are rated and groups share the budget when there are data.
    pub fn with_data(&self) -> (Rating, Option<Scope>) {
        let rating = match self.criterion {
            None | Some(CriterionName::Obs) => Rating::Obs,
            Some(CriterionName::Wanda) => Rating::Wanda,
            Some(_) => Rating::Weights,
        };
        let scope = match self.scope {
            None | Some(ScopeName::Sensitivity) => None,
            Some(ScopeName::Layer) => Some(Scope::Layer),
            Some(ScopeName::Global) => Some(Scope::Global),
        };
        (rating, scope)
    }

    /// Nothing, or which option needs data.
    ///
    /// # Errors
    /// P005.
    pub fn without_data(&self) -> Result<()> {
        let criterion = match self.criterion {
            Some(CriterionName::Obs) => Some("--criterion obs"),
            Some(CriterionName::Wanda) => Some("--criterion wanda"),
            _ => None,
        };
        let scope = (self.scope == Some(ScopeName::Sensitivity)).then_some("--scope sensitivity");
        match criterion.or(scope) {
            Some(option) => Err(diag(Code::P005, format!("{option} needs calibration data"))
                .help("give some inputs of the model with --calib X.npy")),
            None => Ok(()),
        }
    }

    /// Whether any limit was given.
    pub fn limited(&self) -> bool {
        [&self.macs, &self.params, &self.size, &self.latency].iter().any(|l| l.is_some())
    }

    /// Before anything is written: what to say of a limit that the result misses.
    ///
    /// # Errors
    /// P001 unless --force was given.
    pub fn missed(
        &self,
        r: &Request,
        sparse_latency: Option<Amount>,
        a: &Analyzed,
        p: &Pruned,
    ) -> Result<Option<Box<Diagnostic>>> {
        let zeros = Budget { limits: sparse_latency.map(|l| (Limit::Cycles, l)).into_iter().collect() };
        if r.budget.met(&p.costs, &a.original) && zeros.met(&p.costs, &a.original) {
            return Ok(None);
        }
        match self.force {
            true => {
                Ok(Some(diag(Code::P001, "the budget is not met; the smallest possible model was written")))
            }
            false => {
                Err(diag(Code::P001, "the budget is not met").help("--force writes what can be reached"))
            }
        }
    }

    /// The request; with a target, its preferred multiple where none was given.
    ///
    /// # Errors
    /// P005 for malformed values.
    pub fn request(&self, d: &Dims, target: Option<&Target>) -> Result<Request> {
        let mut limits = Vec::new();
        for (option, limit, text) in [
            ("--macs", Limit::Macs, &self.macs),
            ("--params", Limit::Params, &self.params),
            ("--size", Limit::Bytes, &self.size),
        ] {
            if let Some(text) = text {
                limits.push((limit, Amount::parse(text).map_err(|e| e.at("option", option))?));
            }
        }
        let clock = match (&self.latency, target) {
            (None, _) => None,
            (Some(text), Some(target)) => {
                let clock = Clock::of(target)?;
                limits.push((Limit::Cycles, clock.parse(text).map_err(|e| e.at("option", "--latency"))?));
                Some(Arc::new(clock))
            }
            (Some(_), None) => {
                return Err(diag(Code::P005, "--latency needs a target")
                    .help("give the board that time is counted on, as in --target rpi4"));
            }
        };
        let round_to = self.round_to.unwrap_or(target.map_or(1, |t| t.channel_multiple as usize));
        if round_to == 0 || round_to > 4096 {
            return Err(diag(Code::P005, format!("--round-to {round_to} is not in 1..=4096")));
        }
        Ok(Request {
            budget: Budget { limits },
            criterion: match self.criterion.unwrap_or(CriterionName::L2) {
                CriterionName::L1 => Criterion::L1,
                CriterionName::L2 | CriterionName::Obs | CriterionName::Wanda => Criterion::L2,
                CriterionName::Fpgm => Criterion::Fpgm,
                CriterionName::BnScale => Criterion::BatchNormScale,
                CriterionName::Random => Criterion::Random(self.seed),
            },
            scope: match self.scope {
                Some(ScopeName::Layer) => Scope::Layer,
                _ => Scope::Global,
            },
            selection: Selection {
                only: self.only.clone(),
                skip: self.skip.clone(),
                allow_inexact: self.allow_inexact,
                min_keep: self.min_keep,
                round_to,
                force: self.force,
            },
            pins: self.pin.clone(),
            dims: dims(d)?,
            keep_batchnorm: self.keep_batchnorm || self.criterion == Some(CriterionName::BnScale),
            clock,
        })
    }
}

/// A request that prunes nothing, for looking.
pub fn looking(d: &Dims) -> Result<Request> {
    Ok(Request {
        budget: Budget::default(),
        criterion: Criterion::L2,
        scope: Scope::Global,
        selection: Selection { min_keep: 1, round_to: 1, ..Selection::default() },
        pins: Vec::new(),
        dims: dims(d)?,
        keep_batchnorm: false,
        clock: None,
    })
}
