#!/usr/bin/env python3
"""Structured pruning by other tools at a share of the multiply-adds, with and without a statistics repair.

    rivals_structured.py DIR --json docs/rivals.json [--model NAME]... [--tool torch-pruning|onnxsim]

Torch-Pruning gets the graph with its BatchNormalization, through onnx2torch; repair: BatchNorm re-estimation with all
calibration images in one batch. onnxsim gets the graph with folded BatchNormalization; repair: each convolution's
output channels are scaled and shifted to the original's statistics, in topological order.

Every criterion of a tool is tried in every scope; the largest share at or below the budget is searched for by
bisection. All are measured on the first 2,500 test images, the best two of each cell on all.
"""

import argparse
import contextlib
import copy
import signal
import warnings

import numpy as np
import onnx
import onnxsim
import torch
import torch_pruning as tp
from onnx2torch import convert

import rivals_common as common

BUDGETS = (0.75, 0.50, 0.35)
TP_CRITERIA = {
    "l1": lambda: tp.importance.MagnitudeImportance(p=1),
    "l2": lambda: tp.importance.MagnitudeImportance(p=2),
    "fpgm": lambda: tp.importance.FPGMImportance(),
    "lamp": lambda: tp.importance.LAMPImportance(),
    "bn-scale": lambda: tp.importance.BNScaleImportance(),
    "taylor": lambda: tp.importance.TaylorImportance(),
    "hessian": lambda: tp.importance.HessianImportance(),
}
SEARCH_STEPS = 11
# Torch-Pruning does not come back from some graphs; the slowest that does takes about a second.
PATIENCE_SECONDS = 20


def best_below(budget, prune, share):
    """The pruned model with the largest share at or below the budget, by bisection over the ratio; None if none is."""
    low, high, best = 0.0, 1.0, None
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        found = prune(middle)
        reached = None if found is None else share(found)
        if reached is None or reached <= budget:
            high = middle
            if reached is not None and (best is None or reached > best[0]):
                best = (reached, found)
        else:
            low = middle
    return best


# ---------------------------------------------------------------- Torch-Pruning
@contextlib.contextmanager
def limited(seconds):
    """Raises TimeoutError in its body after so many seconds."""

    def late(*_):
        raise TimeoutError(f"no answer in {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


INDEXING = ("Pad", "Slice", "Reshape", "Transpose")


def indexing_as_convolutions(model, sample):
    """Writes what only moves channels (strided slices, channel pads, shuffles) as the 1x1 convolution that does the same.

    Torch-Pruning does not follow channels through these. Returns the names of the new nodes.
    """
    model = copy.deepcopy(model)
    fed, made, readers = {model.graph.input[0].name}, {}, {}
    for n in model.graph.node:
        for i in n.input:
            readers.setdefault(i, []).append(n)
        if n.op_type != "Shape" and fed & set(n.input):
            fed |= set(n.output)
            made[n.output[0]] = n
    names = []
    for end in [n for n in made.values() if n.op_type in INDEXING]:
        if all(n.op_type in (*INDEXING, "Shape") for n in readers[end.output[0]]):
            continue
        start = end.input[0]
        while start in made and made[start].op_type in INDEXING:
            start = made[start].input[0]
        into, out = (common.run(until(model, t), sample[:8]) for t in (start, end.output[0]))
        if out.ndim != 4:
            continue  # flattened for the last layer
        stride = into.shape[2] // out.shape[2]
        thin = into[:, :, ::stride, ::stride]
        weight = np.zeros((out.shape[1], into.shape[1], 1, 1), np.float32)
        for o in range(out.shape[1]):
            same = [i for i in range(into.shape[1]) if np.array_equal(out[:, o], thin[:, i])]
            if same and out[:, o].any():
                weight[o, same[0]] = 1
        assert np.array_equal(np.einsum("oi,nihw->nohw", weight[:, :, 0, 0], thin), out), end.name
        name = end.name + "_as_conv"
        common.set_constant(model, name + "_w", weight)
        sizes = {"strides": [stride] * 2, "kernel_shape": [1, 1]}
        conv = onnx.helper.make_node("Conv", [start, name + "_w"], list(end.output), name, **sizes)
        at = list(model.graph.node).index(end)
        model.graph.node.remove(end)
        model.graph.node.insert(at, conv)
        made[end.output[0]] = conv
        names.append(name)
    return without_dead_nodes(model), names


def until(model, tensor):
    """The model with this tensor as its only output."""
    model = copy.deepcopy(model)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    return model


def without_dead_nodes(model):
    while True:
        used = {i for n in model.graph.node for i in n.input} | {o.name for o in model.graph.output}
        dead = [n for n in model.graph.node if not used & set(n.output)]
        if not dead:
            return model
        for n in dead:
            model.graph.node.remove(n)


def inside_blocks(model):
    """Names of the convolutions whose channels reach other convolutions without an Add, Concat or shuffle between."""
    along = {"BatchNormalization", "Relu", "Clip", "Identity", "Sigmoid", "Mul", "GlobalAveragePool", "ReduceMean"}
    along |= {"AveragePool", "Flatten", "MaxPool"}
    values, readers = common.constants(model), {}
    for n in model.graph.node:
        for i in n.input:
            readers.setdefault(i, []).append(n)

    def stays(tensor):
        found = readers.get(tensor, [])
        return bool(found) and all(ends(n) or (n.op_type in along and stays(n.output[0])) for n in found)

    def ends(n):
        if n.op_type == "Conv" and common.attribute(n, "group", 1) > 1 and values[n.input[1]].shape[1] == 1:
            return stays(n.output[0])
        return n.op_type in common.CONTRACTIONS

    return {n.name for n in model.graph.node if n.op_type == "Conv" and stays(n.output[0])}


class Torch:
    """A fixture as a torch module, the way back to ONNX, and what the criteria need."""

    def __init__(self, fixture):
        self.fixture = fixture
        self.onnx, self.free = indexing_as_convolutions(fixture.with_bn, fixture.calib)
        self.macs = common.Macs(self.onnx, fixture.calib, self.free)
        self.module = convert(self.onnx).eval()
        self.calib = torch.from_numpy(fixture.calib)
        with torch.no_grad():
            got = self.module(self.calib).numpy()
        want = common.run(fixture.folded, fixture.calib)
        self.difference = float(np.abs(got - want).max())
        assert self.difference < 1e-3 * np.abs(want).max(), self.difference
        back = common.run(self.to_onnx(self.module), fixture.calib)
        assert np.abs(back - want).max() < 1e-3 * np.abs(want).max()
        self.inside = inside_blocks(self.onnx)
        self.errors = {}
        self.gradients = {"taylor": self.gradient(), "hessian": self.squared_gradients()}

    def layers(self, module):
        """Pairs of an ONNX node and its torch module, for everything that has weights."""
        wanted = (torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.Linear)
        modules = [module.get_submodule(n.target) for n in module.graph.nodes if n.op == "call_module"]
        modules = [m for m in modules if isinstance(m, wanted)]
        nodes = [n for n in self.onnx.graph.node if n.op_type in ("Conv", "BatchNormalization", "Gemm")]
        assert len(modules) == len(nodes)
        return list(zip(nodes, modules))

    def to_onnx(self, module):
        """The ONNX graph with the module's weights."""
        out = copy.deepcopy(self.onnx)
        del out.graph.value_info[:]
        named = {n.name: n for n in out.graph.node}
        for node, m in self.layers(module):
            node = named[node.name]
            if isinstance(m, torch.nn.BatchNorm2d):
                tensors = [m.weight, m.bias, m.running_mean, m.running_var]
            else:
                w = m.weight if node.op_type == "Conv" or common.attribute(node, "transB", 0) else m.weight.T
                tensors = [w] + ([m.bias] if len(node.input) > 2 else [])
            for name, t in zip(node.input[1:], tensors):
                common.set_constant(out, name, t.detach().numpy())
            for a in node.attribute:
                if a.name == "group":
                    a.i = m.groups
        return out

    def share(self, module):
        cost = 0
        for node, m in self.layers(module):
            if node.op_type != "BatchNormalization" and node.name not in self.free:
                cost += self.macs.places[node.output[0]] * m.weight.numel()
        return cost / self.macs.whole

    def gradient(self):
        self.module.zero_grad()
        labels = torch.from_numpy(self.fixture.calib_y)
        torch.nn.functional.cross_entropy(self.module(self.calib), labels).backward()
        return {n: p.grad.clone() for n, p in self.module.named_parameters() if p.grad is not None}

    def squared_gradients(self):
        """Mean over all samples of the squared gradient of each.

        The criterion's own `accumulate_grad` of 1.6.0 keeps only the last sample, so it gets the whole sum here.
        """
        found = {}
        labels = torch.from_numpy(self.fixture.calib_y)
        for i in range(len(self.calib)):
            self.module.zero_grad()
            torch.nn.functional.cross_entropy(self.module(self.calib[i : i + 1]), labels[i : i + 1]).backward()
            for n, p in self.module.named_parameters():
                if p.grad is not None:
                    found[n] = found.get(n, 0) + p.grad**2 / len(self.calib)
        self.module.zero_grad()
        return found

    def prune(self, criterion, scope, groups, ratio):
        """A pruned copy, or None if the tool fails or breaks it."""
        if isinstance(self.errors.get(groups), TimeoutError):
            return None
        module = copy.deepcopy(self.module)
        for n, p in module.named_parameters():
            p.grad = self.gradients.get(criterion, {}).get(n)
            p.grad = None if p.grad is None else p.grad.clone()
        outside = ("Gemm", "Conv") if groups == "inside blocks" else ("Gemm",)
        ignored = [m for n, m in self.layers(module) if n.op_type in outside and n.name not in self.inside]
        try:
            with limited(PATIENCE_SECONDS):
                pruner = tp.pruner.BasePruner(
                    module,
                    self.calib[:2],
                    TP_CRITERIA[criterion](),
                    global_pruning=scope == "global",
                    pruning_ratio=ratio,
                    ignored_layers=ignored,
                )
                pruner.step()
                with torch.no_grad():
                    module(self.calib[:2])
        except Exception as error:  # whatever the tool raises, this ratio cannot be had
            self.errors[groups] = error
            return None
        return module

    def reestimated(self, module):
        """The module with BatchNorm statistics from all calibration images in one batch."""
        module = copy.deepcopy(module).eval()
        for m in module.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.reset_running_stats()
                m.momentum = None
                m.train()
        with torch.no_grad():
            module(self.calib)
        return module.eval()


def torch_pruning(fixture, scopes):
    """Yields (criterion, scope, groups, budget, share, model or None, repaired model)."""
    t = Torch(fixture)
    print(f"# {fixture.name}: torch form differs by {t.difference:.2e}; inside blocks: {len(t.inside)} convolutions")
    unpruned = t.to_onnx(t.reestimated(t.module))
    flags = common.right(unpruned, fixture, slice(common.FIRST))
    print(f"# {fixture.name}: unpruned with BatchNorm re-estimated {flags.mean():.4f}", flush=True)
    for criterion in TP_CRITERIA:
        for scope in scopes:
            for groups in ("all", "inside blocks"):
                for budget in BUDGETS:
                    found = best_below(budget, lambda r: t.prune(criterion, scope, groups, r), t.share)
                    if found is None:
                        print(f"# {criterion} {scope} {groups} {budget}: not reached; {t.errors.get(groups)!r:.200}", flush=True)
                        continue
                    share, module = found
                    # As it comes the tool prunes all groups it finds; leaving some out is a choice of the user.
                    plain = t.to_onnx(module) if groups == "all" else None
                    yield criterion, scope, groups, budget, share, plain, t.to_onnx(t.reestimated(module))


# ---------------------------------------------------------------- onnxsim
ONNXSIM = {
    "l2": lambda m, calib, **how: onnxsim.apply_structured_pruning(m, **how),
    "l1": lambda m, calib, **how: onnxsim.apply_structured_pruning(m, importance_norm="l1", **how),
    "wanda": lambda m, calib, **how: onnxsim.apply_structured_wanda_pruning(m, calib, **how),
}


def batches(fixture):
    """All calibration images in the form onnxsim takes."""
    name = fixture.folded.graph.input[0].name
    return [{name: fixture.calib[i : i + 128]} for i in range(0, len(fixture.calib), 128)]


def kept_channels(original, pruned):
    """For each contraction the original's output channels that are left, found by their values."""
    kept = []
    before, after = common.constants(original), common.constants(pruned)
    for (a, v), (b, w) in zip(common.contractions(original), common.contractions(pruned), strict=True):
        assert a.output[0] == b.output[0]
        if v.shape[0] == w.shape[0] or a.op_type == "Gemm":
            kept.append(np.arange(v.shape[0] if a.op_type == "Conv" else 0))
            continue
        rows = []
        for i in range(len(w)):
            match = np.arange(len(v))
            if len(a.input) > 2:
                match = match[before[a.input[2]] == after[b.input[2]][i]]
            if len(match) != 1:
                match = [o for o in match if np.isin(w[i], v[o]).all()]
            assert len(match) == 1, (a.name, i, match)
            rows.append(match[0])
        kept.append(np.array(rows))
    return kept


def onnxsim_pruning(fixture, scopes):
    """Yields the same as `torch_pruning`."""
    macs = common.Macs(fixture.folded, fixture.calib)
    targets, calib = common.statistics(fixture.folded, fixture.calib), batches(fixture)
    flags = common.right(common.repair(fixture.folded, targets, fixture.calib), fixture, slice(common.FIRST))
    print(f"# {fixture.name}: unpruned with the repair {flags.mean():.4f}", flush=True)
    for criterion, apply in ONNXSIM.items():
        for scope in scopes:

            def prune(ratio):
                return apply(fixture.folded, calib, sparsity=min(ratio, 0.999), global_sparsity=scope == "global")

            for budget in BUDGETS:
                found = best_below(budget, prune, macs.share)
                if found is None:
                    print(f"# {criterion} {scope} {budget}: not reached", flush=True)
                    continue
                share, model = found
                fixed = common.repair(model, targets, fixture.calib, kept_channels(fixture.folded, model))
                yield criterion, scope, "all", budget, share, model, fixed


TOOLS = {
    "torch-pruning": (torch_pruning, ("global", "local")),
    "onnxsim": (onnxsim_pruning, ("global", "local")),
}


def measure(results, fixture, tool, repaired_only):
    common.put_whole(results, fixture)
    if results.complete(model=fixture.name, kind="structured", tool=tool):
        return
    method, scopes = TOOLS[tool]
    cells = common.Cells(results, fixture)
    for criterion, scope, groups, budget, share, *pair in method(fixture, scopes):
        for repaired, model in zip((False, True), pair):
            if model is None or (repaired_only and not repaired):
                continue
            row = {"kind": "structured", "budget": budget, "tool": tool, "criterion": criterion, "scope": scope}
            row |= {"groups": groups, "repair": repaired, "reached": round(share, 4)}
            cells.put((budget, repaired, groups), row, model)
    cells.finish(best=2)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir")
    parser.add_argument("--json", required=True)
    parser.add_argument("--model", action="append", choices=list(common.FAMILY))
    parser.add_argument("--tool", action="append", choices=list(TOOLS))
    parser.add_argument("--repaired-only", action="store_true", help="leave the models as they come out unmeasured")
    a = parser.parse_args()
    rows = common.Results(a.json)
    for name in common.models(a.dir, a.model or common.FAMILY):
        fixture = common.Fixture.load(a.dir, name)
        for tool_name in a.tool or TOOLS:
            measure(rows, fixture, tool_name, a.repaired_only)
