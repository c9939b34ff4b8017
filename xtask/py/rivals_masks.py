#!/usr/bin/env python3
"""Masks by other tools at a share of zeros, with and without a statistics repair.

    rivals_masks.py DIR --json docs/rivals.json [--model NAME]...

The share is of all weights of Conv and Gemm; every one of these layers is masked, depthwise convolutions, the first and
the last layer included. onnxsim offers unstructured masks (one share for all layers; magnitude and Wanda also one
ranking over all layers) and N:M ones; its groups of four run along (input channel, kernel row, kernel column). Its own
functions give 50 % at 2:4; more zeros at 2:4 come from masking its 2:4 model once more. What it does not offer (blocks,
SparseGPT on inputs from the pruned prefix, a ranking over all layers for it) is in `rivals_obs.py`, tool "papers".

All are measured on the first 2,500 test images, the best two of each cell on all.
"""

import argparse
import time
import warnings

import onnxsim

import rivals_common as common
import rivals_obs as obs
from rivals_structured import batches

MODELS = ("resnet20", "mobilenetv2", "fashion_resnet20", "fashion_mobilenetv2")
ZEROS = (0.5, 0.7, 0.8, 0.9)


def share_of_zeros(model):
    weights = [w for _, w in common.contractions(model)]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.size for w in weights)


def by_onnxsim(fixture):
    """Yields (pattern, zeros, criterion, scope, model) of each mask that onnxsim makes."""
    model, calib = fixture.folded, batches(fixture)
    calls = {
        "magnitude": lambda model, **how: onnxsim.apply_magnitude_pruning(model, **how),
        "wanda": lambda model, **how: onnxsim.apply_wanda_pruning(model, calib, **how),
        "sparsegpt": lambda model, **how: onnxsim.apply_sparsegpt_pruning(model, calib, **how),
    }
    for criterion, call in calls.items():
        half = call(model, n=2, m=4)
        yield "2:4", 0.5, criterion, "layer", half
        for zeros in ZEROS:
            yield "unstructured", zeros, criterion, "layer", call(model, sparsity=zeros)
            if criterion == "sparsegpt":
                continue  # has no pooled ranking, and its update would fill the zeros of a 2:4 model
            yield "unstructured", zeros, criterion, "global", call(model, sparsity=zeros, global_sparsity=True)
            if zeros > 0.5:
                yield "2:4", zeros, criterion, "layer", call(half, sparsity=zeros)


def by_papers(fixture, targets):
    """Yields (pattern, zeros, criterion, scope, model, repaired model) of the masks made here; either may be None."""
    model, x = fixture.folded, fixture.calib
    known = obs.grams(model, x)
    for pattern in obs.PATTERNS:
        split = obs.pooled(model, known, pattern)
        for zeros in ZEROS:
            uniform = obs.uniform(model, zeros)
            if pattern in ("4x1", "1x4"):
                for criterion in ("magnitude", "wanda"):
                    made = obs.masked(model, known, criterion, pattern, uniform)
                    yield pattern, zeros, criterion, "layer", made, common.repair(made, targets, x)
            scopes = {"layer": uniform, "global": split(zeros), "thin layers whole": obs.sparing(model, zeros, pattern)}
            if scopes["thin layers whole"] == uniform:
                del scopes["thin layers whole"]
            for scope, shares in scopes.items():
                made = obs.masked(model, known, "sparsegpt", pattern, shares)
                assert pattern == "unstructured" or obs.broken(made, pattern) == 0
                yield pattern, zeros, "sparsegpt", scope, made, common.repair(made, targets, x)
            scope = "thin layers whole" if "thin layers whole" in scopes else "layer"
            made = obs.masked_in_order(model, x, pattern, scopes[scope], targets)
            yield pattern, zeros, "sparsegpt in order", scope, None, made


def measure(results, fixture):
    common.put_whole(results, fixture)
    targets = common.statistics(fixture.folded, fixture.calib)

    def masks(tool):
        if tool == "papers":
            yield from by_papers(fixture, targets)
            return
        for *what, model in by_onnxsim(fixture):
            yield *what, model, common.repair(model, targets, fixture.calib)

    for tool in ("onnxsim", "papers"):
        if results.complete(model=fixture.name, kind="mask", tool=tool):
            continue
        cells, start = common.Cells(results, fixture), time.time()
        for pattern, zeros, criterion, scope, *pair in masks(tool):
            for repaired, model in zip((False, True), pair):
                if model is None:
                    continue
                row = {"kind": "mask", "pattern": pattern, "zeros": zeros, "tool": tool, "criterion": criterion}
                row |= {"scope": scope, "repair": repaired, "reached": round(share_of_zeros(model), 4)}
                cells.put((pattern, zeros, repaired), row, model)
        cells.finish(best=1)
        print(f"# {fixture.name} {tool}: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir")
    parser.add_argument("--json", required=True)
    parser.add_argument("--model", action="append", choices=list(common.FAMILY))
    a = parser.parse_args()
    rows = common.Results(a.json)
    for name in common.models(a.dir, a.model or MODELS):
        measure(rows, common.Fixture.load(a.dir, name))
