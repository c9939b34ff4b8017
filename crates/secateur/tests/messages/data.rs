//! Data that do not fit, or can hardly be samples.

use insta::assert_snapshot;

use crate::common::*;
use crate::desk;

#[test]
fn data_with_their_axes_elsewhere() {
    let desk = desk();
    let data = |shape: &[usize]| {
        desk.put("d.npy", npy("<f4", shape, &bytes_of(&noise(shape.iter().product(), 5))));
        desk.refused(2, "quantize small.onnx -o out/q.onnx --calib d.npy")
    };
    assert_snapshot!(data(&[64, 8, 8, 3]), @r#"
    error[D002]: the data look like NHWC, [64, 8, 8, 3]; the input wants [N, 3, 8, 8]
      input  %x: f32[N,3,8,8]
      file   d.npy: f32[64,8,8,3]
      help   transpose them, in numpy x.transpose(0, 3, 1, 2)
    "#);
    assert_snapshot!(data(&[64, 8, 3, 8]), @r#"
    error[D002]: the axes of the data are in another order: [64, 8, 3, 8], the input wants [N, 3, 8, 8]
      input  %x: f32[N,3,8,8]
      file   d.npy: f32[64,8,3,8]
      help   transpose them, in numpy x.transpose(0, 2, 3, 1)
    "#);
    assert_snapshot!(data(&[3, 8, 8]), @r#"
    error[D002]: the data have 3 axes, the input has 4
      input  %x: f32[N,3,8,8]
      file   d.npy: f32[3,8,8]
      help   the first axis counts samples; one sample is x[None] in numpy
    "#);
    assert_snapshot!(data(&[64, 3, 8, 8, 1]), @r#"
    error[D002]: the data have 5 axes, the input has 4
      input  %x: f32[N,3,8,8]
      file   d.npy: f32[64,3,8,8,1]
      help   take the axis of one element away, in numpy x.squeeze(4)
    "#);
    assert_snapshot!(data(&[64, 4, 8, 8]), @r#"
    error[D002]: axis 1 of the data has length 4, the input wants 3
      input  %x: f32[N,3,8,8]
      file   d.npy: f32[64,4,8,8]
    "#);
    // All commands that read data say so.
    desk.put("d.npy", npy("<f4", &[64, 8, 8, 3], &bytes_of(&noise(64 * 192, 5))));
    for line in [
        "prune small.onnx -o out/p.onnx --macs 50% --calib d.npy",
        "compile small.onnx --target rpi4 -o out --macs 50% --calib d.npy",
        "inspect small.onnx --sensitivity --calib d.npy",
        "verify small.onnx small.onnx --data d.npy",
    ] {
        let err = desk.refused(2, line);
        assert!(err.contains("transpose them, in numpy x.transpose(0, 3, 1, 2)"), "{line}: {err}");
    }
    // A preparation by channel, along an axis that has another length.
    let flat = Desk::new();
    let mut m = small();
    let g = m.graph.as_mut().unwrap();
    let mut turn = node("Transpose", "turn", &["x"], &["t"]);
    turn.attribute.push(ints("perm", &[0, 3, 1, 2]));
    g.node.insert(0, turn);
    g.node[1].input[0] = "t".into();
    g.input = vec![value("x", &[-1, 8, 8, 3])];
    flat.put("m.onnx", encode(m));
    flat.put("d.npy", npy("<f4", &[64, 8, 8, 3], &bytes_of(&noise(64 * 192, 5))));
    let line = "verify m.onnx m.onnx --data d.npy --mean 0.1,0.2,0.3 --std 0.5";
    assert_snapshot!(flat.refused(2, line), @r#"
    error[D003]: the preparation is for 3 channels, axis 1 of the data has 8
      input  %x: f32[N,8,8,3]
      file   d.npy: f32[64,8,8,3]
      help   give --channel-axis 3 where channels are along that axis
    "#);
    for axis in ["3", "-1"] {
        let run = flat.done(&format!("{line} --channel-axis {axis} --json"));
        assert!(run.out.contains("\"axis\""), "{}", run.out);
    }
    for axis in ["0", "4", "-4", "-9223372036854775808"] {
        let err = flat.refused(2, &format!("{line} --channel-axis {axis}"));
        assert!(err.starts_with("error[D003]"), "{err}");
    }
}

#[test]
fn data_that_can_hardly_be_samples() {
    let desk = desk();
    let commands = [
        "prune small.onnx -o p.onnx --macs 50% --calib d.npy --without reconstruction",
        "compile small.onnx --target rpi4 -o b --macs 50% --round-to 1 --calib d.npy --without reconstruction",
        "quantize small.onnx -o q.onnx --calib d.npy",
        "inspect small.onnx --sensitivity --calib d.npy",
        "verify small.onnx small.onnx --data d.npy",
    ];
    let row = 192;
    let random: Vec<f32> = noise(64 * row, 5).iter().map(|x| x.abs()).collect();
    let scaled: Vec<f32> = random.iter().map(|x| x / 255.0).collect();
    let same: Vec<f32> = random[..row].repeat(64);
    let few: Vec<f32> = (0..64).flat_map(|i| random[i % 3 * row..][..row].to_vec()).collect();
    for (values, preparation, said) in [
        (vec![0.0; 64 * row], "", "warning[D005]: every number of the data is 0\n"),
        (same, "", "warning[D005]: all 64 samples are the same\n"),
        (few, "", "warning[D005]: of 64 samples only 3 differ\n"),
        (random.clone(), " --scale 1/255", "warning[D005]: the data are at most 0.0039 after scaling\n"),
        (scaled, "", "warning[D005]: the data are at most 0.0039\n"),
        (random, "", ""),
    ] {
        desk.put("d.npy", npy("<f4", &[64, 3, 8, 8], &bytes_of(&values)));
        for command in commands {
            let run = desk.line(&format!("{command}{preparation}"));
            assert_eq!(run.code, 0, "{command}: {}", run.err);
            match said {
                "" => assert_eq!(run.err, "", "{command}"),
                said => {
                    assert!(run.err.contains(said) && run.err.contains("d.npy"), "{command}: {}", run.err)
                }
            }
        }
    }
    // What is not a number is refused by all.
    let mut values = noise(64 * row, 5);
    values[17 * row + 3] = f32::NAN;
    desk.put("d.npy", npy("<f4", &[64, 3, 8, 8], &bytes_of(&values)));
    for command in commands {
        let run = desk.line(command);
        assert!(
            run.code == 2 && run.err.contains("error[D004]") && run.err.contains("sample 17\n"),
            "{command}: {}",
            run.err
        );
    }
}
