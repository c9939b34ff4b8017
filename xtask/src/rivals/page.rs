//! The page of what other tools reach, made from the measured rows.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write;

const MODELS: &[&str] = &[
    "resnet20",
    "mobilenetv2",
    "densenet",
    "resnet20_finetuned",
    "fashion_resnet20",
    "fashion_mobilenetv2",
    "fashion_shufflenet",
];
const BUDGETS: [f64; 3] = [0.75, 0.5, 0.35];
const ZEROS: [f64; 4] = [0.5, 0.7, 0.8, 0.9];
const PATTERNS: &[&str] = &["unstructured", "2:4", "4x1", "1x4"];

const HEAD: &str = "\
# What other tools reach

Generated from `docs/rivals.json` by `cargo xtask rivals DIR`, which installs the tools, measures what that file does not
hold yet and writes this page. DIR is a folder with the fixtures. The CIFAR-10 models are not part of the repository; the
`fashion_*` models are.

Nothing is retrained. A cell is top-1 on the first 2,500 test images / on all (5,000 for CIFAR-10, 4,000 for Fashion-MNIST),
then criterion, scope and share reached. **It is the best of all criteria and scopes, chosen on the first 2,500 test
images, which favours the tool.** One standard error is about 0.8 points on 2,500 images and 0.6 on 5,000 near 0.78; two
methods are compared on the same images, so their difference is surer than that. \"Repair\" brings the mean and the
deviation of every channel back with the 512 calibration images.
";

const STRUCTURED: &str = "
## Structured pruning, at a share of the multiply-adds

- The share counts Conv and Gemm; the largest share at or below the budget is searched for by bisection.
- **onnxsim** 0.8.1 gets the graph with folded BatchNormalization: l2, l1 and Wanda, one ratio for all layers (local) or one
  ranking (global), all calibration images. Repair: each convolution's output channels are scaled and shifted to the
  original's statistics, in topological order.
- **Torch-Pruning** 1.6.0 gets the graph with BatchNormalization through onnx2torch (outputs equal to the original's): l1,
  l2, FPGM, LAMP, BatchNorm scale, Taylor, Hessian, local and global. Taylor and Hessian see the calibration labels, on
  Fashion-MNIST the model's own answers; Hessian gets the squared gradients of all 512 images, since its own accumulator
  keeps only the last. Repair: BatchNorm statistics re-estimated with all calibration images in one batch.
- Torch-Pruning does not follow channels through Slice, Pad and channel shuffles; `resnet20_finetuned` and
  `fashion_shufflenet` are given to it with these written as the 1x1 convolutions that do the same, and these cost nothing
  in the count.
- \"Inside blocks\" leaves the channels of residual sums and concatenations alone: a choice that the tool's user can make
  (`ignored_layers`), and often the better one.
- A dash: not measured, or no ratio reaches the budget.

| model | budget | onnxsim | onnxsim + repair | Torch-Pruning | Torch-Pruning + repair | the same, inside blocks |
| --- | --- | --- | --- | --- | --- | --- |
";

const MASKS: &str = "
## Masks, at a share of zeros

- The share is of all weights of Conv and Gemm. Every one of these layers is masked, the first, the last and the depthwise
  ones included, unless the scope says \"thin layers whole\": then these three kinds keep all weights and the others give
  more (at 2:4 the depthwise ones only).
- **onnxsim** 0.8.1: magnitude, Wanda and SparseGPT, all calibration images, one share for all layers (layer) or, magnitude
  and Wanda, one ranking (global). Its groups of four run along (input channel, kernel row, kernel column). More than 50 %
  at 2:4 comes from masking its 2:4 model once more.
- **papers**: what onnxsim does not offer, as we read the papers: SparseGPT in every pattern, on the original's inputs or
  layer by layer on the masked prefix with the repair between (\"in order\"), with one share for all layers, with thin layers
  whole, or with shares from one ranking over all layers (error relative to the variance of the layer's output); Wanda and
  magnitude for blocks. 4x1: four neighbouring output channels at one input; 1x4 and 2:4: four neighbouring input channels
  at one kernel tap, which asks nothing of a depthwise layer. A block's score is the mean over its weights.
- A 2:4 mask is an unstructured one too: of `resnet20` at 90 % the best 2:4 cell is also the best unstructured one known.
- A dash: the tool does not offer it, or it was not measured.

| model | pattern | zeros | onnxsim | onnxsim + repair | papers | papers + repair |
| --- | --- | --- | --- | --- | --- | --- |
";

/// The whole page. `rows` is the array of `docs/rivals.json`.
pub fn page(rows: &Value) -> Result<String> {
    let rows = rows.as_array().context("an array of rows is wanted")?;
    let mut out = HEAD.to_owned();
    out.push_str("\n| unpruned | first 2,500 | all |\n| --- | --- | --- |\n");
    for model in MODELS {
        if let Some(row) = best(rows, |r| is(r, "kind", "whole") && is(r, "model", model)) {
            writeln!(out, "| {model} | {} | {} |", figure(row, "top1_2500"), figure(row, "top1_all"))?;
        }
    }
    out.push_str(STRUCTURED);
    for model in MODELS {
        for budget in BUDGETS {
            let cell = |tool, repair, groups| {
                let found = best(rows, |r| {
                    is(r, "kind", "structured")
                        && is(r, "model", model)
                        && r["budget"].as_f64() == Some(budget)
                        && is(r, "tool", tool)
                        && is(r, "groups", groups)
                        && r["repair"].as_bool() == Some(repair)
                });
                found.map_or("–".to_owned(), shown)
            };
            let cells = [
                cell("onnxsim", false, "all"),
                cell("onnxsim", true, "all"),
                cell("torch-pruning", false, "all"),
                cell("torch-pruning", true, "all"),
                cell("torch-pruning", true, "inside blocks"),
            ];
            if cells.iter().any(|c| c != "–") {
                writeln!(out, "| {model} | {:.0} % | {} |", budget * 100.0, cells.join(" | "))?;
            }
        }
    }
    out.push_str(MASKS);
    for model in MODELS {
        for pattern in PATTERNS {
            for zeros in ZEROS {
                let cell = |tool, repair| {
                    let found = best(rows, |r| {
                        is(r, "kind", "mask")
                            && is(r, "model", model)
                            && is(r, "pattern", pattern)
                            && r["zeros"].as_f64() == Some(zeros)
                            && is(r, "tool", tool)
                            && r["repair"].as_bool() == Some(repair)
                    });
                    found.map_or("–".to_owned(), shown)
                };
                let cells = [("onnxsim", false), ("onnxsim", true), ("papers", false), ("papers", true)]
                    .map(|(t, r)| cell(t, r));
                if cells.iter().any(|c| c != "–") {
                    writeln!(
                        out,
                        "| {model} | {pattern} | {:.0} % | {} |",
                        zeros * 100.0,
                        cells.join(" | ")
                    )?;
                }
            }
        }
    }
    Ok(out)
}

fn is(row: &Value, key: &str, wanted: &str) -> bool {
    row[key].as_str() == Some(wanted)
}

/// The first of the rows that are best on the first images.
fn best(rows: &[Value], wanted: impl Fn(&Value) -> bool) -> Option<&Value> {
    let score = |r: &Value| r["top1_2500"].as_f64().unwrap_or(0.0);
    rows.iter().filter(|r| wanted(r)).reduce(|a, b| if score(b) > score(a) { b } else { a })
}

fn figure(row: &Value, key: &str) -> String {
    row[key].as_f64().map_or("–".to_owned(), |v| format!("{v:.4}"))
}

fn shown(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let reached = row["reached"].as_f64().unwrap_or_default();
    let (first, all) = (figure(row, "top1_2500"), figure(row, "top1_all"));
    format!("{first} / {all} ({}, {}, {reached:.3})", text("criterion"), text("scope"))
}

#[cfg(test)]
mod tests {
    use super::page;
    use serde_json::json;

    #[test]
    fn the_best_row_of_a_cell_is_shown() {
        let row = |criterion: &str, top: f64| {
            json!({"model": "resnet20", "kind": "structured", "budget": 0.5, "tool": "onnxsim", "criterion": criterion,
                "scope": "local", "groups": "all", "repair": true, "reached": 0.49, "top1_2500": top, "top1_all": null})
        };
        let text = page(&json!([row("l2", 0.5), row("wanda", 0.6), row("l1", 0.4)])).unwrap();
        let line = "| resnet20 | 50 % | – | 0.6000 / – (wanda, local, 0.490) | – | – | – |";
        assert!(text.lines().any(|l| l == line), "{text}");
        assert_eq!(text.matches("| resnet20 |").count(), 1);
        assert!(page(&json!({})).is_err());
    }
}
