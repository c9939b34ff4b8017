//! What a pruned model may cost.

use secateur_diag::{Code, Result, diag};

use crate::cost::Costs;

/// A share of the original, or an absolute figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Of the original, 0 to 1.
    Share(f64),
    /// Multiply-adds, parameters or bytes.
    Absolute(u64),
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Multiply-adds of one sample.
    Macs,
    /// Elements of initializers.
    Params,
    /// Bytes of initializers.
    Bytes,
    /// Modelled cycles of one sample on the target.
    Cycles,
}

/// Limits that must hold together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Budget {
    /// All of them.
    pub limits: Vec<(Limit, Amount)>,
}

impl Amount {
    /// Reads `50%`, `0.5`, `1.5M`, `200k`, `1.5MB`, `300KiB`; a number up to 1 without a unit is a share.
    ///
    /// # Errors
    /// [`Code::P005`].
    pub fn parse(text: &str) -> Result<Amount> {
        let bad = || {
            diag(Code::P005, format!("{text:?} is not a budget"))
                .help("a share as in 50% or 0.5, or a figure as in 20M, 300k or 1.5MB")
        };
        let t = text.trim();
        let (number, unit) =
            t.split_at(t.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(t.len()));
        let number: f64 = number.trim().parse().map_err(|_| bad())?;
        if unit.is_empty() && number > 1.0 && number <= 100.0 {
            // Nobody wants a network of 50 multiply-adds; almost everybody who writes so means a share.
            return Err(diag(Code::P005, format!("{text:?} has no unit; is {t}% meant?"))
                .help(format!("{t}% is a share; the figure itself is {}k", number / 1e3)));
        }
        let scale = match unit.trim() {
            "%" => return share(number / 100.0).ok_or_else(bad),
            "" if number <= 1.0 => return share(number).ok_or_else(bad),
            "" | "B" => 1.0,
            "k" | "K" | "kB" | "KB" => 1e3,
            "M" | "MB" => 1e6,
            "G" | "GB" => 1e9,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(bad()),
        };
        let n = number * scale;
        if !(1.0..1e18).contains(&n) {
            return Err(bad());
        }
        Ok(Amount::Absolute(n as u64))
    }

    /// The figure, for an original that costs `whole`.
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Amount::Share(s) => (whole as f64 * s) as u64,
            Amount::Absolute(n) => n,
        }
    }
}

fn share(s: f64) -> Option<Amount> {
    (s > 0.0 && s <= 1.0).then_some(Amount::Share(s))
}

impl Limit {
    /// The figure that is limited.
    pub fn of(self, costs: &Costs) -> u64 {
        match self {
            Limit::Macs => costs.macs.unwrap_or(0),
            Limit::Params => costs.params,
            Limit::Bytes => costs.bytes,
            Limit::Cycles => costs.cycles.unwrap_or(0),
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Macs => "MACs",
            Limit::Params => "params",
            Limit::Bytes => "bytes",
            Limit::Cycles => "cycles",
        }
    }
}

impl Budget {
    /// Whether `costs` are within all limits, for an original of `whole`.
    pub fn met(&self, costs: &Costs, whole: &Costs) -> bool {
        self.limits.iter().all(|(l, a)| l.of(costs) <= a.of(l.of(whole)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!(Amount::parse("50%").unwrap(), Amount::Share(0.5));
        assert_eq!(Amount::parse("0.25").unwrap(), Amount::Share(0.25));
        assert_eq!(Amount::parse("1.5MB").unwrap(), Amount::Absolute(1_500_000));
        assert_eq!(Amount::parse("200k").unwrap(), Amount::Absolute(200_000));
        assert_eq!(Amount::parse("0.05k").unwrap(), Amount::Absolute(50));
        assert_eq!(Amount::parse("101").unwrap(), Amount::Absolute(101));
        assert_eq!(Amount::parse("1").unwrap(), Amount::Share(1.0));
        for bad in ["", "0%", "120%", "-3", "50 apples", "nan", "1e30", "50", "1.5", "100"] {
            assert!(Amount::parse(bad).is_err(), "{bad}");
        }
    }
}
