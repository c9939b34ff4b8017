//! The Rust and Python modules, against a stand-in for the object file that runs on the host.

mod common;

use std::process::Command;

use common::compile_text;

const NET: &str = r#"graph g opset(""=17) (%x: f32[N,2,3], %"b/flag": f32[N,4]) -> (%y, %z) {
  %y: f32[N,2,3] = Relu(%x)
  %z: f32[N,4] = Neg(%"b/flag")
}
"#;

/// What the network computes, for the host, with the errors of the real one.
const STAND_IN: &str = r#"
#include "m.h"
int m_run(const m_inputs *in, m_outputs *out, void *workspace) {
    if (!in || !out || !workspace) return M_ERROR_NULL;
    if ((size_t)workspace % M_WORKSPACE_ALIGN) return M_ERROR_ALIGNMENT;
    if (!in->batch) return M_ERROR_BATCH;
    for (size_t i = 0; i < in->batch * M_INPUT_X_SIZE; i++) out->y[i] = in->x[i] > 0 ? in->x[i] : 0;
    for (size_t i = 0; i < in->batch * M_OUTPUT_Z_SIZE; i++) out->z[i] = -in->b_flag[i];
    return M_OK;
}
struct job {
    const m_inputs *in;
    m_outputs *out;
};
static void sample(void *argument, size_t i) {
    struct job *job = argument;
    for (size_t k = i * M_INPUT_X_SIZE; k < (i + 1) * M_INPUT_X_SIZE; k++)
        job->out->y[k] += job->in->x[k] > 0 ? job->in->x[k] : 0;
    for (size_t k = i * M_OUTPUT_Z_SIZE; k < (i + 1) * M_OUTPUT_Z_SIZE; k++) job->out->z[k] -= job->in->b_flag[k];
}
int m_run_parallel(const m_inputs *in, m_outputs *out, void *workspaces, size_t count, m_parallel_for parallel_for,
                   void *context) {
    if (!in || !out || !workspaces || !parallel_for) return M_ERROR_NULL;
    if (!count || !in->batch) return M_ERROR_BATCH;
    struct job job = {in, out};
    parallel_for(context, in->batch, sample, &job);
    return M_OK;
}
const char *m_describe(void) { return "{\"name\": \"m\"}"; }
"#;

fn done(c: &mut Command) {
    let out = c.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{c:?}\n{}{text}", String::from_utf8_lossy(&out.stdout));
}

fn folder() -> tempfile::TempDir {
    let bundle = compile_text(NET, &[]).unwrap_or_else(|e| panic!("{e}"));
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in &bundle.files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    std::fs::write(dir.path().join("stand_in.c"), STAND_IN).unwrap();
    let mut cc = Command::new("cc");
    done(cc.current_dir(dir.path()).args(["-c", "-fPIC", "-Wall", "-Werror", "-o", "m.o", "stand_in.c"]));
    dir
}

#[test]
fn python() {
    let Some(python) = std::env::var_os("SECATEUR_PYTHON") else {
        println!("SECATEUR_PYTHON is not set: nothing is run; run cargo xtask test");
        return;
    };
    let dir = folder();
    let script = r#"
import json, threading, numpy as np, m
x = np.arange(-9, 9, dtype=np.float64).reshape(3, 2, 3)
b = np.ones((3, 8), np.float32)[:, ::2]
y, z = m.run(x, b)
assert y.dtype == np.float32 and (y == np.maximum(x, 0)).all() and (z == -b).all() and z.shape == (3, 4)
assert m.run(x[:0], b[:0])[0].shape == (0, 2, 3)
for bad in [(x[0], b), (x, b[:2]), (x, b[:, :2])]:
    try:
        m.run(*bad)
        raise SystemExit("accepted")
    except ValueError:
        pass
try:
    m.run(x)
    raise SystemExit("accepted")
except TypeError:
    pass
assert json.loads(m.describe())["name"] == "m"
threads = [threading.Thread(target=m.run, args=(x, b)) for _ in range(4)]
[t.start() for t in threads], [t.join() for t in threads]
"#;
    done(Command::new(python).current_dir(dir.path()).args(["-c", script]));
}

#[test]
fn rust() {
    let dir = folder();
    let main = r#"
#![deny(warnings)]
mod m;
fn main() {
    let x = [-1.0f32, 2.0, -3.0, 4.0, -5.0, 6.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let b = [1.0f32; 8];
    let (mut y, mut z) = ([9.0f32; 12], [9.0f32; 8]);
    let mut workspace = m::Workspace::new();
    m::run(2, &x, &b, &mut y, &mut z, &mut workspace).unwrap();
    assert_eq!(y[..6], [0.0, 2.0, 0.0, 4.0, 0.0, 6.0]);
    assert_eq!(z, [-1.0; 8]);
    assert!(m::run(3, &x, &b, &mut y, &mut z, &mut workspace).is_err());
    assert!(m::run(0, &x[..0], &b[..0], &mut y[..0], &mut z[..0], &mut workspace).is_err());
    let threads = |n: usize, task: &(dyn Fn(usize) + Sync)| {
        std::thread::scope(|s| (0..n).for_each(|i| drop(s.spawn(move || task(i)))));
    };
    // The stand-in adds to what is there: every part has to run once, even if called twice or not at all.
    let careless = |n: usize, task: &(dyn Fn(usize) + Sync)| [0, 0, n].iter().for_each(|i| task(*i));
    let mut many = m::Workspace::many(2);
    for k in 0..2 {
        (y, z) = ([0.0; 12], [0.0; 8]);
        let done = match k {
            0 => m::run_parallel(2, &x, &b, &mut y, &mut z, &mut many, threads),
            _ => m::run_parallel(2, &x, &b, &mut y, &mut z, &mut workspace, careless),
        };
        done.unwrap();
        assert_eq!((&y[..6], z), (&[0.0, 2.0, 0.0, 4.0, 0.0, 6.0][..], [-1.0; 8]));
    }
    assert!(m::run_parallel(3, &x, &b, &mut y, &mut z, &mut many, threads).is_err());
    assert!(m::describe().contains("name") && m::TARGET == "test" && m::WORKSPACE_BYTES < 1 << 20);
}
"#;
    std::fs::write(dir.path().join("main.rs"), main).unwrap();
    let mut rustc = Command::new("rustc");
    rustc.current_dir(dir.path()).args(["--edition", "2024", "-C", "link-arg=m.o", "-o", "main", "main.rs"]);
    done(&mut rustc);
    done(&mut Command::new(dir.path().join("main")));
}
