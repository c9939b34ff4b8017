//! What a command writes: all of it or nothing, before anything is printed, and never over what it reads.

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::*;
use insta::assert_snapshot;
use secateur_ir::Module;
use secateur_onnx::{ExternalOut, Model};

const PRUNE: &str = "prune big.onnx -o out/p.onnx --macs 50% --masked out/m.onnx";
const COMPILE: &str = "compile small.onnx --target rpi4 -o out --macs 50% --round-to 1";
const QUANTIZE: &str = "quantize small.onnx -o out/q.onnx --calib x.npy";

/// A desk with the small model, the same with its weights outside, and data.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("small.onnx", encode(small()));
    desk.put("x.npy", npy("<f4", &[64, 3, 8, 8], &bytes_of(&noise(64 * 3 * 64, 5))));
    let model = Model::load(&desk.path("small.onnx")).unwrap();
    let names = ["w1", "w2"].map(str::to_owned).into();
    model.save(&desk.path("big.onnx"), &ExternalOut::Names(names)).unwrap();
    desk
}

type Files = BTreeMap<String, Vec<u8>>;

/// Names and contents in a folder; with `hidden`, those that begin with a dot too.
fn files(dir: &Path, hidden: bool) -> Files {
    let all = names(dir).into_iter().filter(|n| hidden || !n.starts_with('.'));
    all.map(|n| (n.clone(), std::fs::read(dir.join(n)).unwrap())).collect()
}

/// What the command leaves in `out`.
fn whole(line: &str) -> Files {
    let desk = desk();
    desk.done(line);
    files(&desk.path("out"), true)
}

/// The folder `out` with other files under all names that the command writes.
fn with_old(desk: &Desk, new: &Files) -> Files {
    for name in new.keys() {
        desk.put(&format!("out/{name}"), format!("the old {name}"));
    }
    files(&desk.path("out"), true)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Sizes of files at which a disk is full, in blocks of 512 bytes: around every file's size.
fn limits(new: &Files) -> Vec<usize> {
    let mut all: Vec<usize> =
        new.values().flat_map(|b| [b.len() / 1024, b.len() / 512, b.len() / 512 + 1]).collect();
    all.push(0);
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_full_disk_leaves_the_old_files() {
    for line in [PRUNE, COMPILE, QUANTIZE] {
        let new = whole(line);
        let mut codes = Vec::new();
        for limit in limits(&new) {
            for there in [false, true] {
                let desk = desk();
                let old = if there { with_old(&desk, &new) } else { Files::new() };
                let shell = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"");
                let run = desk.command(&["sh", "-c", &shell, "sh"], &words(line)).output().unwrap();
                let err = String::from_utf8_lossy(&run.stderr);
                let found = files(&desk.path("out"), true);
                match run.status.code() {
                    Some(0) => assert!(found == new, "{line} at {limit}: {:?}", found.keys()),
                    Some(2) => {
                        assert!(found == old, "{line} at {limit}: {:?}", found.keys());
                        assert!(run.stdout.is_empty());
                        assert!(
                            err.starts_with("error[L007]: the ") && err.contains("ile too large"),
                            "{err}"
                        );
                    }
                    code => panic!("{line} at {limit}: {code:?} {err}"),
                }
                codes.push(run.status.code());
            }
        }
        assert!(
            codes.contains(&Some(0)) && codes.iter().filter(|c| **c == Some(2)).count() >= 4,
            "{codes:?}"
        );
    }
}

/// Every name in `out` has its old or its new contents; what else is there is hidden.
fn old_or_new(desk: &Desk, old: &Files, new: &Files) -> usize {
    let found = files(&desk.path("out"), false);
    assert_eq!(found.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
    for (name, bytes) in &found {
        assert!(old[name] == *bytes || new[name] == *bytes, "{name}: {} bytes", bytes.len());
    }
    found.iter().filter(|(name, bytes)| new[*name] == **bytes).count()
}

#[test]
fn a_command_that_is_killed_leaves_old_or_new_files() {
    for line in [PRUNE, COMPILE, QUANTIZE] {
        let new = whole(line);
        // In the middle of writing: the signal comes at a size.
        for limit in limits(&new) {
            let desk = desk();
            let old = with_old(&desk, &new);
            let shell = format!("ulimit -f {limit}; ulimit -c 0; exec \"$@\"");
            let run = desk.command(&["sh", "-c", &shell, "sh"], &words(line)).output().unwrap();
            let changed = old_or_new(&desk, &old, &new);
            assert_eq!(changed, if run.status.success() { new.len() } else { 0 }, "{line} at {limit}");
        }
        // And at any time.
        let desk = desk();
        let start = Instant::now();
        desk.done(line);
        let time = start.elapsed();
        for part in 0..24 {
            let old = with_old(&desk, &new);
            let mut child = quiet(&mut desk.command(&[], &words(line)));
            std::thread::sleep(time * part / 20);
            child.kill().unwrap();
            child.wait().unwrap();
            old_or_new(&desk, &old, &new);
        }
    }
}

fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs with a standard output whose reader has left.
fn unread(desk: &Desk, line: &str) -> Output {
    let mut child =
        desk.command(&[], &words(line)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.wait_with_output().unwrap()
}

const PRINTING: &[(&str, i32)] = &[
    ("--help", 0),
    ("--version", 0),
    ("compile --help", 0),
    ("targets", 0),
    ("targets rpi4", 0),
    ("inspect small.onnx", 0),
    ("inspect small.onnx --groups", 0),
    ("inspect small.onnx --ir", 0),
    ("inspect small.onnx --simplified", 0),
    ("inspect small.onnx --json", 0),
    ("verify small.onnx small.onnx --data x.npy", 0),
    ("prune big.onnx -o out/p.onnx --macs 1% --force", 1),
    (PRUNE, 0),
    (COMPILE, 0),
    (QUANTIZE, 0),
];

#[test]
fn a_reader_that_leaves_is_no_error() {
    for (line, code) in PRINTING {
        let desk = desk();
        let run = unread(&desk, line);
        let err = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(*code), "{line}: {err}");
        assert_eq!(err.is_empty(), *code == 0, "{line}: {err}");
        let same = Desk::line(&self::desk(), line);
        assert_eq!(same.code, *code);
        if line.contains("out") {
            assert!(files(&desk.path("out"), true) == whole_or_missed(line), "{line}");
        }
    }
}

fn whole_or_missed(line: &str) -> Files {
    let desk = desk();
    desk.line(line);
    files(&desk.path("out"), true)
}

#[test]
fn a_full_standard_output_is_an_error_with_whole_files() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for (line, code) in PRINTING {
        let desk = desk();
        let run = desk.command(&[], &words(line)).stdout(full()).output().unwrap();
        let err = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{line}: {err}");
        let error = "error[L010]: standard output cannot be written\n  reason No space left on device (os error 28)\n";
        assert!(err.ends_with(error), "{line}: {err}");
        // A missed budget is told too.
        assert_eq!(err.contains("error[P001]"), *code == 1, "{line}: {err}");
        if line.contains("out") {
            assert!(files(&desk.path("out"), true) == whole_or_missed(line), "{line}");
        }
        // Errors that nobody can read change nothing either, nor do warnings.
        let run = desk.command(&[], &words(line)).stderr(full()).output().unwrap();
        assert_eq!(run.status.code(), Some(*code), "{line}");
        let run = desk.command(&[], &words(&format!("{line} --verbose"))).stderr(full()).output().unwrap();
        assert_eq!(run.status.code(), Some(*code), "{line}");
    }
    let desk = desk();
    let run = desk.command(&[], &["prune", "none"]).stdout(full()).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
}

#[test]
fn what_is_read_is_not_replaced() {
    let desk = desk();
    std::os::unix::fs::symlink("small.onnx", desk.path("link.onnx")).unwrap();
    std::fs::hard_link(desk.path("small.onnx"), desk.path("twin.onnx")).unwrap();
    let before = files_of(&desk);
    let absolute = desk.path("small.onnx").display().to_string();
    for (model, output) in [
        ("small.onnx", "small.onnx"),
        ("small.onnx", "./small.onnx"),
        ("out/../small.onnx", "small.onnx"),
        ("small.onnx", "out/../small.onnx"),
        ("small.onnx", absolute.as_str()),
        ("link.onnx", "small.onnx"),
        ("small.onnx", "link.onnx"),
        ("small.onnx", "twin.onnx"),
    ] {
        for line in [
            format!("prune {model} -o {output} --macs 50%"),
            format!("prune {model} -o out/p.onnx --macs 50% --masked {output}"),
            format!("quantize {model} -o {output} --calib x.npy"),
        ] {
            let err = desk.refused(2, &line);
            assert!(
                err.starts_with("error[L007]: the output would replace the model itself"),
                "{line}: {err}"
            );
        }
    }
    assert_snapshot!(desk.refused(2, "prune small.onnx -o ./small.onnx --macs 50%"), @r#"
    error[L007]: the output would replace the model itself
      file   ./small.onnx
      help   choose another name with -o, or give --force
    "#);
    assert_snapshot!(desk.refused(2, "compile small.onnx --target rpi4 -o ."), @r#"
    error[L007]: the output would replace the model itself
      file   ./small.onnx
      help   choose another name with -o, or give --force
    "#);
    assert_snapshot!(desk.refused(2, "quantize small.onnx -o x.npy --calib x.npy --force"), @r#"
    error[L007]: the output would replace a file that this command reads
      file   x.npy
      help   choose another name with -o
    "#);
    assert_snapshot!(desk.refused(2, "prune small.onnx -o x.npy --macs 50% --calib x.npy"), @r#"
    error[L007]: the output would replace a file that this command reads
      file   x.npy
      help   choose another name with -o
    "#);
    assert_snapshot!(desk.refused(2, "prune small.onnx -o out/p.onnx --macs 50% --masked out/../out/p.onnx"), @r#"
    error[L007]: the file cannot be written
      reason two outputs have this name
      file   out/p.onnx
    "#);
    // The model's data are in the file that the output's would be in.
    assert_snapshot!(desk.refused(2, "prune big.onnx -o big.onnx.data --macs 50%"), @r#"
    error[L007]: the output would replace a file that this command reads
      file   DIR/big.onnx.data
      help   choose another name with -o
    "#);
    std::fs::rename(desk.path("big.onnx"), desk.path("other.onnx")).unwrap();
    let err = desk.refused(2, "prune other.onnx -o big.onnx --macs 50%");
    assert!(err.starts_with("error[L007]: the output would replace a file that this command reads"), "{err}");
    std::fs::rename(desk.path("other.onnx"), desk.path("big.onnx")).unwrap();
    assert!(files_of(&desk) == before);
}

fn files_of(desk: &Desk) -> Files {
    let entries = names(&desk.path("")).into_iter().filter(|n| n != "out");
    entries.map(|n| (n.clone(), std::fs::read(desk.path(&n)).unwrap())).collect()
}

#[test]
fn with_force_the_model_becomes_its_result() {
    for (line, same) in [
        (
            "prune small.onnx -o small.onnx --macs 50% --force",
            "prune small.onnx -o out/small.onnx --macs 50%",
        ),
        ("prune big.onnx -o big.onnx --macs 50% --force", "prune big.onnx -o out/big.onnx --macs 50%"),
        ("compile small.onnx -o . --target rpi4 --force", "compile small.onnx -o out --target rpi4"),
        (
            "quantize small.onnx -o small.onnx --calib x.npy --force",
            "quantize small.onnx -o out/small.onnx --calib x.npy",
        ),
    ] {
        let desk = desk();
        let expected = desk.done(same);
        let run = desk.done(line);
        assert_eq!(run.out.replace("./", "out/"), expected.out);
        for (name, bytes) in files(&desk.path("out"), true) {
            assert!(std::fs::read(desk.path(&name)).unwrap() == bytes, "{line}: {name}");
        }
        let model = if line.contains("big") { "big.onnx" } else { "small.onnx" };
        Module::import(Model::load(&desk.path(model)).unwrap()).unwrap();
    }
}

#[test]
fn a_folder_that_was_made_goes_with_a_failure() {
    let desk = desk();
    let shell = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";
    let line = "compile small.onnx --target rpi4 -o new/deep/er";
    let run = desk.command(&["sh", "-c", shell, "sh"], &words(line)).output().unwrap();
    assert_eq!(run.status.code(), Some(2), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(!desk.path("new").exists());
    let long = Instant::now();
    let err = desk.refused(2, "compile small.onnx --target rpi4 -o small.onnx");
    assert!(long.elapsed() < Duration::from_secs(20));
    assert_snapshot!(err, @r#"
    error[L007]: the folder cannot be made
      reason "small.onnx" is not a folder
      folder small.onnx
    "#);
}
