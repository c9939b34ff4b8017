//! Names and patterns.

use insta::assert_snapshot;
use secateur_onnx::proto::NodeProto;

use crate::common::*;
use crate::{desk, unnamed, widths};

#[test]
fn nodes_without_a_name_go_by_what_they_make() {
    let desk = desk();
    let inspected = desk.done("inspect m.onnx").out;
    for name in ["a ", "d ", "y "] {
        assert!(inspected.lines().any(|l| l.trim_start().starts_with(name)), "{inspected}");
    }
    for calib in ["", " --calib x.npy --without reconstruction"] {
        let prune = |options: &[&str]| {
            let line = format!("prune m.onnx -o p.onnx --macs 60%{calib}");
            let words: Vec<&str> = line.split_whitespace().chain(options.iter().copied()).collect();
            let run = desk.run(&words);
            assert_eq!(run.code, 0, "{options:?} {}", run.err);
            widths(&desk, "p.onnx")
        };
        // The group of w2's outputs: it goes by every name that `inspect` has for it.
        for name in ["d", "%d", "w2", "@w2", "w?", "odd [s]", "%\"odd [s]\"", "odd*", "w3"] {
            let skip = ["--skip", name];
            let kept = match name {
                // These are inputs of the next layer, or outputs of this one: the group before is another.
                "w3" | "odd [s]" | "%\"odd [s]\"" | "odd*" => prune(&skip),
                "w?" => {
                    assert_eq!(desk.line("prune m.onnx -o p.onnx --macs 60% --skip w?").code, 1);
                    continue;
                }
                _ => {
                    // Both groups that the layer takes part in stay, so that nothing can go.
                    let run = desk.run(&["prune", "m.onnx", "-o", "p.onnx", "--macs", "60%", "--skip", name]);
                    assert_eq!(run.code, 1, "{name}: {}", run.err);
                    assert!(run.err.contains("groups 0 of 2 may be pruned"), "{name}: {}", run.err);
                    continue;
                }
            };
            assert_eq!(kept[1], 6, "{name}");
            assert!(kept[0] < 8, "{name}");
        }
        for (name, whole) in [("a", 1), ("r", 1), ("y", 0), ("w1", 1), ("odd [s]", 0)] {
            let kept = prune(&["--only", name]);
            assert_eq!(kept[whole], [8, 6][whole], "{name}: {kept:?}");
            assert!(kept[1 - whole] < [8, 6][1 - whole], "{name}: {kept:?}");
        }
        for pin in ["d.1", "%d.1", "w2.0", "@w2.0", "w3.1", "odd [s].1", "%\"odd [s]\".1", "d.-3"] {
            let kept = prune(&["--pin", pin]);
            assert_eq!(kept[1], 6, "{pin}");
            assert!(kept[0] < 8, "{pin}");
        }
        // A named node's axes are those of what it makes.
        let named = |n: &mut NodeProto| n.name = Some(format!("node of {}", n.output[0]));
        let mut m = unnamed();
        m.graph.as_mut().unwrap().node.iter_mut().for_each(named);
        let other = Desk::new();
        other.put("m.onnx", encode(m));
        let done = other.run(&["prune", "m.onnx", "-o", "p.onnx", "--macs", "60%", "--pin", "node of d.1"]);
        assert_eq!((done.code, widths(&other, "p.onnx")[1]), (0, 6), "{}", done.err);
    }
    let float = |name: &str| {
        let run = desk.run(&["quantize", "m.onnx", "-o", "q.onnx", "--calib", "x.npy", "--keep-float", name]);
        assert_eq!(run.code, 0, "{name}: {}", run.err);
        run.out.contains("1 stay float") && run.out.contains("2 layers with integer weights")
    };
    for name in ["d", "%d", "w2", "@w2"] {
        assert!(float(name), "{name}");
    }
    // Two patterns may mean the same.
    let twice = "quantize m.onnx -o q.onnx --calib x.npy --keep-float d --keep-float w2";
    assert!(desk.done(twice).out.contains("1 stay float"));
}

#[test]
fn names_that_are_nearly_right() {
    let desk = Desk::new();
    let mut m = small();
    let g = m.graph.as_mut().unwrap();
    for (n, name) in g.node.iter_mut().zip(["backbone/conv1/Conv", "backbone/relu1/Relu", "head/conv/Conv"]) {
        n.name = Some(name.into());
    }
    desk.put("m.onnx", encode(m));
    desk.put("x.npy", npy("<f4", &[64, 3, 8, 8], &bytes_of(&noise(64 * 192, 5))));
    let prune = |options: &str| desk.refused(2, &format!("prune m.onnx -o out/p.onnx --macs 50% {options}"));
    assert_snapshot!(prune("--skip backbone/conv1"), @r#"
    error[P003]: --skip "backbone/conv1" matches no node, value or initializer
      near   "backbone/conv1/Conv"
      help   names are those that secateur inspect MODEL prints
    "#);
    assert_snapshot!(prune("--only heat/conv/Conv"), @r#"
    error[P003]: --only "heat/conv/Conv" matches no node, value or initializer
      near   "head/conv/Conv"
      help   names are those that secateur inspect MODEL prints
    "#);
    assert_snapshot!(prune("--skip transformer"), @r#"
    error[P003]: --skip "transformer" matches no node, value or initializer
      help   names are those that secateur inspect MODEL prints
    "#);
    assert_snapshot!(prune("--pin head/conv/Cnov.0"), @r#"
    error[P003]: --pin "head/conv/Cnov.0" is not NAME.axis of a value of the model
      near   "head/conv/Conv"
      help   as in --pin conv1.weight.0, with names that secateur inspect MODEL prints
    "#);
    assert_snapshot!(prune("--dim M=3"), @r#"
    error[P003]: no input of the model has a dimension called M
      known  N
    "#);
    let quantize =
        |options: &str| desk.refused(2, &format!("quantize m.onnx -o out/q.onnx --calib x.npy {options}"));
    assert_snapshot!(quantize("--keep-float haed/*"), @r#"
    error[P003]: --keep-float "haed/*" matches no node
      near   "head/conv/Conv"
      help   names are those that secateur inspect MODEL prints
    "#);
    // Every command that takes a pattern says the same, whatever else is asked.
    for (option, commands) in [
        (
            "--skip",
            vec![
                "prune m.onnx -o out/p.onnx --macs 50%",
                "compile m.onnx --target rpi4 -o out",
                "prune m.onnx -o out/p.onnx --macs 50% --calib x.npy",
                "prune m.onnx -o out/p.onnx --sparsity 50% --calib x.npy",
                "compile m.onnx --target rpi4 -o out --onnx-only",
            ],
        ),
        ("--only", vec!["prune m.onnx -o out/p.onnx --macs 50%", "compile m.onnx --target rpi4 -o out"]),
        ("--pin", vec!["prune m.onnx -o out/p.onnx --macs 50%", "compile m.onnx --target rpi4 -o out"]),
        (
            "--keep-float",
            vec![
                "quantize m.onnx -o out/q.onnx --calib x.npy",
                "quantize m.onnx -o out/q.onnx --weights w8",
                "prune m.onnx -o out/p.onnx --macs 50% --calib x.npy --quantize int8 --without reconstruction",
            ],
        ),
    ] {
        for command in commands {
            let err = desk.refused(2, &format!("{command} {option} nothing*"));
            assert!(
                err.starts_with("error[P003]: ") && err.contains(&format!("{option} \"nothing*\"")),
                "{command}: {err}"
            );
            for empty in ["", " "] {
                let words: Vec<&str> = command.split_whitespace().chain([option, empty]).collect();
                let run = desk.run(&words);
                let code = if option == "--pin" { "error[P003]" } else { "error[P005]" };
                assert_eq!(run.code, 2);
                assert!(
                    run.err.starts_with(code) && desk.written().is_empty(),
                    "{command} {option}: {}",
                    run.err
                );
            }
        }
    }
}
