//! Running a child with a limit of time, and what it needed.

use std::{
    fs::File,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// How a child ended.
pub struct Ended {
    /// Exit code; `None` for a signal or a child that was stopped for its time.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub seconds: f64,
    /// Peak resident memory in MB, 0 where the system does not say. It is the kernel's own high-water mark (`VmHWM` in
    /// `/proc/PID/status`), read every millisecond, so that only growth in the last millisecond is missed.
    pub peak_mb: f64,
}

/// Runs a command to its end; its outputs go through files in `scratch`, as a pipe that nobody reads blocks the child.
pub fn run(command: &mut Command, limit: Duration, scratch: &Path) -> Result<Ended> {
    let paths = [scratch.join("stdout"), scratch.join("stderr")];
    let [stdout, stderr] = paths.each_ref().map(File::create);
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout?)
        .stderr(stderr?)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    let code = loop {
        peak_kb = high_water(&status).unwrap_or(0).max(peak_kb);
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let seconds = start.elapsed().as_secs_f64();
    let [stdout, stderr] = paths.map(|path| -> Result<String> {
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    });
    Ok(Ended { code, stdout: stdout?, stderr: stderr?, seconds, peak_mb: peak_kb as f64 / 1024.0 })
}

fn high_water(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
