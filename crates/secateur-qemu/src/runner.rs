//! Calls kernels through `c/runner.c`, one process for many cases.

use crate::{CacheModel, Counts, Failure, tools};
use std::{
    io::{BufReader, BufWriter, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// What a kernel gets in one of its argument registers.
#[derive(Debug, Clone)]
pub enum Argument<'a> {
    /// A null pointer.
    Null,
    /// A pointer to bytes that the kernel must not change.
    Input(&'a [u8]),
    /// A pointer to bytes that the kernel may change; they are part of the result.
    InOut(&'a [u8]),
    /// A pointer to this many bytes, all ones (not-a-number as floats); part of the result.
    Output(usize),
    /// A pointer to this many bytes, all ones, that nobody looks at afterwards.
    Scratch(usize),
    /// The same pointer as another argument.
    Same(usize),
}

/// One call.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// Machine code; execution begins at its first byte.
    pub code: &'a [u8],
    /// `x0`, `x1`, ...; at most eight, the rest is null.
    pub arguments: Vec<Argument<'a>>,
    /// Stop the kernel after this time.
    pub seconds: u32,
}

impl<'a> Case<'a> {
    /// A call with the usual limit of time.
    pub fn new(code: &'a [u8], arguments: Vec<Argument<'a>>) -> Self {
        Case { code, arguments, seconds: 20 }
    }
}

/// Where buffers lie between their guard pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The byte behind a buffer cannot be touched.
    End,
    /// The byte before a buffer cannot be touched.
    Start,
}

/// What a call left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// The bytes of each argument that is [`Argument::Output`] or [`Argument::InOut`], in order.
    pub outputs: Vec<Vec<u8>>,
    /// What was executed, if the runner counts. It includes the call itself, one instruction.
    pub counts: Option<Counts>,
}

impl Returned {
    /// An output as floats.
    pub fn floats(&self, output: usize) -> Vec<f32> {
        let word = |c: &[u8]| f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
        self.outputs[output].chunks_exact(4).map(word).collect()
    }
}

/// An emulated core that calls kernels.
pub struct Runner {
    child: Child,
    requests: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
    counts: Option<(tempfile::TempDir, BufReader<std::fs::File>)>,
}

impl Runner {
    /// Starts an emulated core: `cortex-a53`, `cortex-a72` or `cortex-a76`.
    pub fn new(core: &str) -> Result<Runner, Failure> {
        Runner::start(core, None)
    }

    /// The same, counting instructions and, if a model is given, cache misses.
    pub fn counting(core: &str, cache: Option<CacheModel>) -> Result<Runner, Failure> {
        Runner::start(core, Some(cache))
    }

    fn start(core: &str, counting: Option<Option<CacheModel>>) -> Result<Runner, Failure> {
        let program = tools::runner()?;
        let mut command = Command::new("qemu-aarch64");
        command.args(["-cpu", core]);
        let mut counts = None;
        if let Some(cache) = counting {
            let tools_fail = |e: std::io::Error| Failure::Tools(format!("cannot collect counts: {e}"));
            let folder = tempfile::tempdir().map_err(tools_fail)?;
            let file = folder.path().join("counts");
            std::fs::write(&file, "").map_err(tools_fail)?;
            let mut plugin = format!("{},out={}", tools::plugin()?.display(), file.display());
            if let Some(cache) = cache {
                plugin = format!("{plugin},{}", cache.argument());
            }
            command.args(["-plugin", &plugin]);
            counts = Some((folder, BufReader::new(std::fs::File::open(&file).map_err(tools_fail)?)));
        }
        command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|e| Failure::Tools(format!("qemu-aarch64 does not run: {e}")))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Lost("no pipes".to_owned()));
        };
        Ok(Runner { child, requests: BufWriter::new(stdin), answers: BufReader::new(stdout), counts })
    }

    /// Calls a kernel twice, with buffers that end at guard pages and with buffers that begin behind one. Both must give
    /// the same bytes.
    pub fn run(&mut self, case: &Case) -> Result<Returned, Failure> {
        let at_end = self.run_once(case, Placement::End)?;
        let at_start = self.run_once(case, Placement::Start)?;
        let differs = at_end.outputs.iter().zip(&at_start.outputs).position(|(a, b)| a != b);
        match differs {
            Some(n) => {
                let results = |a: &Argument| matches!(a, Argument::Output(_) | Argument::InOut(_));
                let argument = case
                    .arguments
                    .iter()
                    .enumerate()
                    .filter(|(_, a)| results(a))
                    .nth(n)
                    .map_or(0, |(i, _)| i);
                Err(Failure::Placement { argument })
            }
            None => Ok(at_end),
        }
    }

    /// Calls a kernel once.
    pub fn run_once(&mut self, case: &Case, placement: Placement) -> Result<Returned, Failure> {
        self.ask(case, placement).map_err(|e| Failure::Lost(format!("request: {e}")))?;
        self.answer(case).map_err(|e| Failure::Lost(format!("answer: {e}")))?
    }

    fn ask(&mut self, case: &Case, placement: Placement) -> std::io::Result<()> {
        let to = &mut self.requests;
        let mut word = |w: usize| to.write_all(&(w as u32).to_le_bytes());
        word(1)?;
        word((placement == Placement::Start) as usize)?;
        word(case.seconds as usize)?;
        word(case.code.len())?;
        to.write_all(case.code)?;
        for i in 0..8 {
            let (kind, value) = match case.arguments.get(i) {
                None | Some(Argument::Null) => (0, 0),
                Some(Argument::Input(bytes) | Argument::InOut(bytes)) => (1, bytes.len()),
                Some(Argument::Output(size) | Argument::Scratch(size)) => (1, *size),
                Some(Argument::Same(other)) => (2, *other),
            };
            to.write_all(&(kind as u32).to_le_bytes())?;
            to.write_all(&(value as u32).to_le_bytes())?;
        }
        for argument in case.arguments.iter().take(8) {
            match argument {
                Argument::Input(bytes) | Argument::InOut(bytes) => to.write_all(bytes)?,
                Argument::Output(size) | Argument::Scratch(size) => to.write_all(&vec![0xff; *size])?,
                Argument::Null | Argument::Same(_) => {}
            }
        }
        to.flush()
    }

    fn answer(&mut self, case: &Case) -> std::io::Result<Result<Returned, Failure>> {
        let mut head = [0; 24];
        self.answers.read_exact(&mut head)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| word(at) as u64 | (word(at + 4) as u64) << 32;
        let detail = word(4);
        match word(0) {
            0 => {}
            1 => {
                let argument = (detail >> 8) as usize;
                return Ok(Err(Failure::Signal {
                    number: detail & 0xff,
                    argument: (argument < 8).then(|| (argument, long(8) as i64)),
                    address: long(8),
                    pc: long(16) as i64,
                }));
            }
            2 => {
                let name = match detail {
                    200 => "sp".to_owned(),
                    201 => "fpcr".to_owned(),
                    100.. => format!("d{}", detail - 100),
                    _ => format!("x{detail}"),
                };
                return Ok(Err(Failure::Register(name)));
            }
            3 => return Ok(Err(Failure::Spill { argument: detail as usize, offset: long(8) as i64 })),
            other => return Ok(Err(Failure::Lost(format!("outcome {other}")))),
        }
        let mut outputs = Vec::new();
        let mut changed = None;
        for (i, argument) in case.arguments.iter().take(8).enumerate() {
            let size = match argument {
                Argument::Input(bytes) | Argument::InOut(bytes) => bytes.len(),
                Argument::Output(size) | Argument::Scratch(size) => *size,
                Argument::Null | Argument::Same(_) => continue,
            };
            let mut bytes = vec![0; size];
            self.answers.read_exact(&mut bytes)?;
            match argument {
                Argument::Input(before) if *before != bytes => changed = Some(i),
                Argument::Output(_) | Argument::InOut(_) => outputs.push(bytes),
                _ => {}
            }
        }
        if let Some(argument) = changed {
            return Ok(Err(Failure::InputChanged { argument }));
        }
        let counts = match &mut self.counts {
            None => None,
            Some((_, file)) => {
                // The plugin flushed the line before the runner could answer. Lines of calls that failed come before it.
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                text.lines()
                    .rfind(|l| l.starts_with("region"))
                    .and_then(Counts::parse)
                    .map(|(_, counts)| counts)
            }
        };
        Ok(Ok(Returned { outputs, counts }))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Ends by itself when its input does; this is for one that does not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
