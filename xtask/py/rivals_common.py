"""What the rival measurements share: fixtures, accuracy, multiply-adds, a walk through a graph, the statistics repair.

Everything runs on one thread. Models are `onnx.ModelProto`; images are float32 NCHW, prepared as the fixtures' README
says; accuracy comes from onnxruntime.
"""

import copy
import json
import os
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

torch.set_num_threads(1)
FIRST = 2500
CONTRACTIONS = ("Conv", "Gemm")
CIFAR = ("cifar10", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
FASHION = ("fashion", [0.2860], [0.3530])
FAMILY = {
    "resnet20": CIFAR,
    "mobilenetv2": CIFAR,
    "densenet": CIFAR,
    "resnet20_finetuned": CIFAR,
    "fashion_resnet20": FASHION,
    "fashion_mobilenetv2": FASHION,
    "fashion_shufflenet": FASHION,
}


@dataclass
class Fixture:
    """A model with and without BatchNormalization, its test images and labels, its calibration images."""

    name: str
    folded: onnx.ModelProto
    with_bn: onnx.ModelProto
    x: np.ndarray
    y: np.ndarray
    calib: np.ndarray
    calib_y: np.ndarray

    @staticmethod
    def load(folder, name):
        data, mean, std = FAMILY[name]
        mean, std = (np.float32(v).reshape(1, -1, 1, 1) for v in (mean, std))

        def images(part):
            raw = np.load(os.path.join(folder, f"{data}_{part}_x.npy"))
            return (raw.astype(np.float32) / np.float32(255) - mean) / std

        folded = plain(onnx.load(os.path.join(folder, f"{name}.onnx")))
        calib = images("calib")
        labels = os.path.join(folder, f"{data}_calib_y.npy")
        # Without labels the criteria that need them get the model's own answers.
        calib_y = np.load(labels) if os.path.exists(labels) else run(folded, calib).argmax(1)
        return Fixture(
            name,
            folded,
            plain(onnx.load(os.path.join(folder, f"{name}_bn.onnx"))),
            images("test"),
            np.load(os.path.join(folder, f"{data}_test_y.npy")),
            calib,
            calib_y,
        )


def models(folder, wanted):
    """Those of the wanted models that the folder holds with both of their forms; says which are missing."""
    found = []
    for name in wanted:
        if all(os.path.exists(os.path.join(folder, name + part)) for part in (".onnx", "_bn.onnx")):
            found.append(name)
        else:
            print(f"# {name} is not in {folder}", flush=True)
    return found


def plain(model):
    """Every layer reads its own constants: the exporter shares equal ones through Identity."""
    values = {i.name: i for i in model.graph.initializer}
    alias = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Identity" and n.input[0] in values}
    for node in [n for n in model.graph.node if n.output[0] in alias]:
        model.graph.node.remove(node)
    seen = set()
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            name = node.input[at] = alias.get(name, name)
            if name in values and name in seen and node.op_type in (*CONTRACTIONS, "BatchNormalization"):
                node.input[at] = f"{name}_{len(seen)}_own"
                set_constant(model, node.input[at], numpy_helper.to_array(values[name]))
            seen.add(node.input[at])
    return model


def run(model, x, batch=250):
    """The first output on all samples, by onnxruntime with one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i : i + batch]})[0] for i in range(0, len(x), batch)])


def right(model, fixture, images=slice(None)):
    """Which of these test images are classified rightly."""
    return run(model, fixture.x[images]).argmax(1) == fixture.y[images]


def constants(model):
    """Every initializer and Constant node by name, as arrays."""
    found = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def contractions(model):
    """The Conv and Gemm nodes whose weight is constant, with that weight, in the order of the graph."""
    values = constants(model)
    nodes = [n for n in model.graph.node if n.op_type in CONTRACTIONS and n.input[1] in values]
    return [(n, values[n.input[1]]) for n in nodes]


def set_constant(model, name, value):
    """Gives an initializer another value, of any shape."""
    for init in model.graph.initializer:
        if init.name == name:
            init.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
            return
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))


def attribute(node, name, default):
    for a in node.attribute:
        if a.name == name:
            return onnx.helper.get_attribute_value(a)
    return default


class Macs:
    """Counts the multiply-adds of Conv and Gemm of a model and of its pruned forms, whose images keep their sizes.

    Nodes named in `free` cost nothing: they stand for index operations.
    """

    def __init__(self, model, sample, free=()):
        self.places, self.free = {}, set(free)

        def see(node, inputs, output):
            self.places[node.output[0]] = int(np.prod(output.shape[2:])) if output.ndim == 4 else 1

        walk(model, sample[:1], see)
        self.whole = self.count(model)

    def count(self, model):
        layers = [(n, w) for n, w in contractions(model) if n.name not in self.free]
        return sum(self.places[n.output[0]] * w.size for n, w in layers)

    def share(self, model):
        return self.count(model) / self.whole


def walk(model, x, hook=None):
    """Evaluates a graph node by node; returns its first output as a tensor.

    `hook(node, inputs, output)` is called after each Conv and Gemm, and may return another output to go on with.
    """
    env = {model.graph.input[0].name: torch.from_numpy(np.ascontiguousarray(x)), "": None}
    for init in model.graph.initializer:
        env[init.name] = torch.from_numpy(numpy_helper.to_array(init).copy())
    last = {name: i for i, node in enumerate(model.graph.node) for name in node.input}
    final = model.graph.output[0].name
    with torch.no_grad():
        for i, node in enumerate(model.graph.node):
            inputs = [env[name] for name in node.input]
            outputs = evaluate(node, inputs)
            if hook and node.op_type in CONTRACTIONS:
                other = hook(node, inputs, outputs[0])
                outputs = outputs if other is None else (other,)
            env.update(zip(node.output, outputs))
            for name in node.input:
                if last.get(name) == i and name != final:
                    env[name] = None
    return env[final]


def conv_options(node):
    """The keyword arguments of torch's convolution; pads must be symmetric."""
    pads = attribute(node, "pads", [0, 0, 0, 0])
    assert attribute(node, "auto_pad", b"NOTSET") == b"NOTSET" and pads[:2] == pads[2:], node.name
    return {
        "stride": tuple(attribute(node, "strides", [1, 1])),
        "padding": tuple(pads[:2]),
        "dilation": tuple(attribute(node, "dilations", [1, 1])),
        "groups": attribute(node, "group", 1),
    }


def evaluate(node, v):
    """The outputs of one node. What is costly goes through torch, the rest through onnx's reference."""
    op = node.op_type
    if op == "Conv":
        return (F.conv2d(v[0], v[1], v[2] if len(v) > 2 else None, **conv_options(node)),)
    if op == "Gemm":
        w = v[1] if attribute(node, "transB", 0) else v[1].T
        return (F.linear(v[0], w, v[2] if len(v) > 2 else None),)
    if op == "BatchNormalization":
        eps = attribute(node, "epsilon", 1e-5)
        return (F.batch_norm(v[0], v[3], v[4], v[1], v[2], False, 0.0, eps),)
    if op == "Relu":
        return (torch.relu(v[0]),)
    if op == "Clip":
        return (torch.clamp(v[0], float(v[1]), float(v[2])),)
    if op == "Sigmoid":
        return (torch.sigmoid(v[0]),)
    if op in ("Add", "Mul") and v[0].is_floating_point():
        return (v[0] + v[1] if op == "Add" else v[0] * v[1],)
    if op == "GlobalAveragePool":
        return (v[0].mean((2, 3), keepdim=True),)
    if op == "AveragePool" and not any(attribute(node, "pads", [])) and not attribute(node, "ceil_mode", 0):
        return (F.avg_pool2d(v[0], attribute(node, "kernel_shape", None), attribute(node, "strides", [1, 1])),)
    if op == "ReduceMean":
        return (v[0].mean(tuple(attribute(node, "axes", None)), keepdim=bool(attribute(node, "keepdims", 1))),)
    if op == "Identity":
        return (v[0],)
    # A chain of shapes may be 64-bit integers of any rank: the reference knows them all.
    found = ReferenceEvaluator(node).run(None, {n: t.numpy() for n, t in zip(node.input, v) if n})
    return tuple(torch.from_numpy(np.array(f)) for f in found)


def spread(t):
    """Mean and standard deviation of each channel, in double precision."""
    dims = (0, 2, 3) if t.ndim == 4 else (0,)
    t = t.double()
    return t.mean(dims), t.std(dims, correction=0)


def statistics(model, x):
    """Mean and deviation of each output channel of each contraction, in the order of the graph."""
    found = []
    walk(model, x, lambda node, inputs, output: found.append(spread(output)))
    return found


def rescale(model, node, output, target):
    """Scales and shifts the output channels of a layer so that they have the target's mean and deviation.

    Changes the model and returns the output as the changed layer gives it. A channel that has become constant is only
    shifted.
    """
    (mean, std), (want_mean, want_std) = spread(output), target
    dead = std <= 1e-6 * want_std + 1e-12
    scale = torch.where(dead, torch.ones_like(std), want_std / torch.where(dead, torch.ones_like(std), std))
    shift = want_mean - mean * scale
    values = constants(model)
    w = values[node.input[1]]
    by_row = node.op_type == "Conv" or attribute(node, "transB", 0)
    rows = scale.numpy().reshape([-1] + [1] * (w.ndim - 1) if by_row else [1, -1])
    bias = values[node.input[2]] if len(node.input) > 2 else np.zeros(len(scale), np.float32)
    set_constant(model, node.input[1], (w * rows).astype(np.float32))
    bias_name = node.input[2] if len(node.input) > 2 else node.output[0] + "_repaired_bias"
    set_constant(model, bias_name, (bias * scale.numpy() + shift.numpy()).astype(np.float32))
    if len(node.input) < 3:
        node.input.append(bias_name)
    shape = [1, -1] + [1] * (output.ndim - 2)
    return output * scale.float().reshape(shape) + shift.float().reshape(shape)


def repair(model, targets, x, kept=None):
    """Brings the channels' means and deviations of every convolution back, in topological order.

    `targets`: statistics of the original. `kept`: per contraction the original's channels that are left.
    """
    model = copy.deepcopy(model)
    at = iter(range(len(targets)))

    def fix(node, inputs, output):
        i = next(at)
        if node.op_type != "Conv":
            return None
        mean, std = targets[i]
        chosen = slice(None) if kept is None else torch.from_numpy(kept[i])
        return rescale(model, node, output, (mean[chosen], std[chosen]))

    walk(model, x, fix)
    return model


class Results:
    """The rows of `rivals.json`, written after every change."""

    def __init__(self, path):
        self.path = path
        self.rows = json.load(open(path)) if os.path.exists(path) else []

    def find(self, **want):
        return [r for r in self.rows if all(r.get(k) == v for k, v in want.items())]

    def complete(self, **want):
        """Whether there are such rows, and each cell of them has one that was measured on all images."""
        cells = {}
        for r in self.find(**want):
            cell = tuple(r.get(k) for k in ("budget", "pattern", "zeros", "groups", "repair"))
            cells[cell] = cells.get(cell, False) or r["top1_all"] is not None
        return bool(cells) and all(cells.values())

    def put(self, row):
        """Adds a row, or replaces the one that differs in its figures only."""
        figures = ("reached", "top1_2500", "top1_all")
        key = {k: v for k, v in row.items() if k not in figures}
        self.rows = [r for r in self.rows if {k: v for k, v in r.items() if k not in figures} != key]
        self.rows.append(row)
        print(" ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()), flush=True)
        self.save()

    def save(self):
        order = ("model", "kind", "budget", "pattern", "zeros", "tool", "criterion", "scope", "groups", "repair")
        self.rows.sort(key=lambda r: [str(r.get(k, "")) for k in order])
        temporary = f"{self.path}.tmp"
        with open(temporary, "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(r) for r in self.rows) + "\n]\n")
        os.replace(temporary, self.path)


class Cells:
    """Measures models on the first images, and the best of each cell on all."""

    def __init__(self, results, fixture):
        self.results, self.fixture, self.cells = results, fixture, {}

    def put(self, cell, row, model):
        flags = right(model, self.fixture, slice(FIRST))
        row = {"model": self.fixture.name, **row, "top1_2500": round(float(flags.mean()), 4), "top1_all": None}
        self.results.put(row)
        self.cells.setdefault(cell, []).append((row, model, flags))

    def finish(self, best):
        for found in self.cells.values():
            found.sort(key=lambda f: -f[0]["top1_2500"])
            for row, model, flags in found[:best]:
                flags = np.concatenate([flags, right(model, self.fixture, slice(FIRST, None))])
                self.results.put({**row, "top1_all": round(float(flags.mean()), 4)})


def put_whole(results, fixture):
    """The row of the unpruned model."""
    if not results.find(model=fixture.name, kind="whole"):
        flags = right(fixture.folded, fixture)
        figures = {"top1_2500": round(float(flags[:FIRST].mean()), 4), "top1_all": round(float(flags.mean()), 4)}
        results.put({"model": fixture.name, "kind": "whole", **figures})
