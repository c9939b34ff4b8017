//! Asks ONNX's own tests: `nodes [--only OP]... [--stage STAGE]... [--engine ENGINE] [--core CORE] [--details] [--operators]`

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use secateur_neon::Core;
use secateur_tests::report::{self, Counts, Outcomes};
use secateur_tests::stage::{self, Stage};
use secateur_tests::{Case, Expected, Outcome, in_parallel, node_tests};

/// How many lines of news are shown.
const NEWS: usize = 40;

struct Options {
    only: Vec<String>,
    stages: Vec<Stage>,
    engine: Option<String>,
    core: Core,
    details: bool,
    operators: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Result<Options> {
    let mut o = Options {
        only: vec![],
        stages: vec![],
        engine: None,
        core: Core::A72,
        details: false,
        operators: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(a) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{a} wants a value"));
        match a.as_str() {
            "--only" => o.only.push(value()?),
            "--stage" => o.stages.push(Stage::from_name(&value()?)?),
            "--engine" => o.engine = Some(value()?),
            "--core" => {
                let name = value()?;
                o.core = Core::from_name(&name).with_context(|| format!("{name} is not a core"))?;
            }
            "--details" => o.details = true,
            "--operators" => o.operators = true,
            _ => bail!("unexpected argument {a:?}"),
        }
    }
    if o.stages.is_empty() {
        o.stages = vec![Stage::Save, Stage::Shape, Stage::Run];
    }
    // Few cases are shown in full.
    o.details |= !o.only.is_empty();
    Ok(o)
}

/// Whether all is as the lists of what is expected say.
fn run() -> Result<bool> {
    let o = parse()?;
    let mut cases = node_tests()?;
    if !o.only.is_empty() {
        // An operator, or the name of a test.
        let wanted = |c: &Case| {
            let operators = c.operators().unwrap_or_default();
            let short = c.name.split('/').next_back().unwrap_or_default();
            o.only
                .iter()
                .any(|w| w == short || *w == c.name || operators.iter().any(|op| op.eq_ignore_ascii_case(w)))
        };
        cases.retain(wanted);
        if cases.is_empty() {
            bail!("no test has that operator or name");
        }
    }
    let mut rows = Vec::new();
    let mut good = true;
    for &stage in &o.stages {
        let start = Instant::now();
        let (outcomes, usual) = ask(stage, &cases, &o)?;
        let outcomes: Outcomes = cases.iter().map(|c| c.name.clone()).zip(outcomes).collect();
        println!("{} ({} tests, {:.1} s)", stage.name(), cases.len(), start.elapsed().as_secs_f64());
        print!("{}", if o.details { report::details(&outcomes) } else { report::reasons(&outcomes) });
        if usual {
            let expected = Expected::read(&format!("tests/nodes/{}.txt", stage.name()))?;
            let news = expected.surprises(&outcomes, o.only.is_empty());
            news.iter().take(NEWS).for_each(|n| println!("NEWS {n}"));
            if news.len() > NEWS {
                println!("NEWS and {} more", news.len() - NEWS);
            }
            good &= news.is_empty();
        }
        println!();
        rows.push((stage.name().to_owned(), Counts::of(outcomes.iter().map(|(_, o)| o))));
        if o.operators {
            rows.extend(by_operator(&cases, &outcomes));
        }
    }
    print!("{}", report::table(&rows));
    Ok(good)
}

/// The outcomes, and whether they are those that the list is of.
fn ask(stage: Stage, cases: &[Case], o: &Options) -> Result<(Vec<Outcome>, bool)> {
    Ok(match stage {
        Stage::Save => (in_parallel(cases, stage::save::check), true),
        Stage::Shape => (in_parallel(cases, stage::shape::check), true),
        Stage::Run => match o.engine.as_deref() {
            None => (in_parallel(cases, |c| stage::run::check(&stage::own::Own, c)), true),
            #[cfg(feature = "tract")]
            Some("tract") => (in_parallel(cases, |c| stage::run::check(&stage::tract::Tract, c)), false),
            Some(other) => bail!("there is no engine {other:?} in this build"),
        },
        Stage::Compile => (stage::compile::check(cases, o.core)?, o.core == Core::A72),
    })
}

fn by_operator(cases: &[Case], outcomes: &Outcomes) -> Vec<(String, Counts)> {
    let mut by: std::collections::BTreeMap<String, Vec<&Outcome>> = Default::default();
    for (case, (_, outcome)) in cases.iter().zip(outcomes) {
        // A test of one operator is about that operator; others are about many.
        let operators = case.operators().unwrap_or_default();
        let name = if let [one] = &operators[..] { one.clone() } else { "several operators".into() };
        by.entry(name).or_default().push(outcome);
    }
    by.into_iter().map(|(name, outcomes)| (format!("  {name}"), Counts::of(outcomes))).collect()
}
