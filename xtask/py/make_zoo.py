#!/usr/bin/env python3
"""Export a zoo of untrained ONNX models, for tests of structure.

    make_zoo.py OUT                          everything below 600 MB, smallest first
    make_zoo.py OUT --group structures       the small hand-written networks of zoo_structures.py
    make_zoo.py OUT --only 'resnet*'         by name
    make_zoo.py --list                       names, groups and sizes
    make_zoo.py --histogram DIR...           count (domain, op, opset) over all .onnx files below the folders

Weights are random with a seed drawn from the model's name, scaled so that activations keep their range. BatchNorm
gets statistics measured on random data and then disturbed, affine parameters and biases are random too, so a folded
or dropped one shows in the outputs. Models are exported in eval mode with a dynamic batch "N"; BatchNormalization
nodes stay in the file unless --fold-bn is given.

Every model is checked by onnx.checker and run in onnxruntime with a batch (and other dynamic axes) of another size
than it was traced with; the result is compared with torch. A model that fails is reported with the reason, its file
is removed if it is not a valid model, and the run goes on. OUT/manifest.jsonl gets one line for each model, OUT/ops.txt
the histogram.
"""

import argparse
import collections
import contextlib
import copy
import fnmatch
import gc
import hashlib
import inspect
import json
import logging
import os
import sys
import time
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torchvision
from torch import nn
from zoo_structures import STRUCTURES, Case

LARGE_MB = 600
TORCHSCRIPT_MAX_OPSET = 20
IMAGE_SIZE = {"inception_v3": 299}
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, *TRANSPOSED)


class Entry:
    """A model that can be built: `make()` returns a Case."""

    def __init__(self, name, group, make, params=0, compare=True):
        self.name, self.group, self.make, self.params, self.compare = name, group, make, params, compare

    @property
    def megabytes(self):
        return self.params * 4 / 1e6


class Pick(nn.Module):
    """Takes one entry of a dictionary of outputs."""

    def __init__(self, inner, key):
        super().__init__()
        self.inner, self.key = inner, key

    def forward(self, x):
        return self.inner(x)[self.key]


class Detect(nn.Module):
    """Runs a torchvision detector, which takes a list of images, on one image."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, image):
        found = self.inner([image])[0]
        return found["boxes"], found["scores"], found["labels"]


def classification(name):
    def make():
        extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        if name in ("googlenet", "inception_v3"):
            extra["aux_logits"] = False
        model = torchvision.models.get_model(name, weights=None, **extra)
        side = IMAGE_SIZE.get(name, 256 if "swin_v2" in name else 224)
        return Case(model, {"input": torch.randn(2, 3, side, side)}, ["logits"])

    return make


def video(name):
    def make():
        model = torchvision.models.get_model(name, weights=None)
        frames, side = (16, 224) if name == "s3d" or "mvit" in name else (8, 64)
        return Case(model, {"clip": torch.randn(2, 3, frames, side, side)}, ["logits"])

    return make


def segmentation(name):
    def make():
        model = torchvision.models.get_model(name, weights=None, weights_backbone=None, aux_loss=False) \
            if "lraspp" not in name else torchvision.models.get_model(name, weights=None, weights_backbone=None)
        return Case(Pick(model, "out"), {"input": torch.randn(2, 3, 128, 128)}, ["classes"])

    return make


def detection(name):
    def make():
        model = torchvision.models.get_model(name, weights=None, weights_backbone=None)
        return Case(Detect(model), {"image": torch.rand(3, 320, 320)}, ["boxes", "scores", "labels"], batched=False)

    return make


def entries():
    """All models, smallest first; the hand-written ones lead."""
    out = [Entry(name, "structures", make) for name, make in STRUCTURES.items()]
    try:
        from zoo_transformers import TRANSFORMERS
    except ImportError:
        print("the transformers library is not there; its group is left out", file=sys.stderr)
    else:
        out += [Entry(name, "transformers", make) for name, make in TRANSFORMERS.items()]
    models = torchvision.models
    library = []
    for group, module, make in (
        ("classification", models, classification),
        ("video", models.video, video),
        ("segmentation", models.segmentation, segmentation),
        ("detection", models.detection, detection),
    ):
        for name in models.list_models(module=module):
            weights = models.get_model_weights(name)
            params = max((w.meta["num_params"] for w in weights), default=0)
            library.append(Entry(name, group, make(name), params, compare=group != "detection"))
    return out + sorted(library, key=lambda entry: (entry.params, entry.name))


def randomize(model, constant=False):
    """Random weights in a sane range. With `constant`, biases and affine parameters keep one value each, so that
    many initializers are equal."""
    seen = set()

    def claim(parameter):
        if parameter is None or id(parameter) in seen:
            return False
        seen.add(id(parameter))
        return True

    for module in model.modules():
        if isinstance(module, WEIGHTED):
            weight = module.weight
            if isinstance(module, TRANSPOSED):
                overlap = weight[0, 0].numel() / np.prod(module.stride)
                fan_in = weight.shape[0] / module.groups * max(overlap, 1.0)
            else:
                fan_in = weight[0].numel()
            gain = 1.0 if isinstance(module, nn.Linear) else 2.0
            if claim(weight):
                weight.normal_(0.0, (gain / fan_in) ** 0.5)
            if claim(module.bias):
                module.bias.zero_() if constant else module.bias.normal_(0.0, 0.1)
        elif isinstance(module, NORMS) and getattr(module, "weight", None) is not None:
            if claim(module.weight):
                # Below one: deep residual nets of random weights are chaotic if branches outweigh their shortcuts.
                module.weight.fill_(1.0) if constant else module.weight.uniform_(0.3, 0.9)
            if claim(module.bias):
                module.bias.zero_() if constant else module.bias.normal_(0.0, 0.2)
    for parameter in model.parameters():
        if not claim(parameter) or parameter.numel() == 0:
            continue
        low, high = parameter.min(), parameter.max()
        if low != high or constant:
            continue
        if abs(low) < 1e-3:  # zeros, and layer scales so small that the block would do nothing
            parameter.uniform_(0.1, 0.5) if low > 0 else parameter.normal_(0.0, 0.1)
        else:
            parameter.mul_(1.0 + 0.2 * torch.randn_like(parameter))


def calibrate(model, inputs, constant=False):
    """Measures BatchNorm statistics in one forward pass and disturbs them."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    norms = [m for m in norms if m.running_mean is not None]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    model(*inputs)
    for norm in norms:
        norm.eval()
        norm.momentum = 0.1
        variance = norm.running_var
        variance.clamp_(min=max(0.05 * float(variance.mean()), 1e-3))
        if not constant:
            norm.running_mean.add_(0.1 * variance.sqrt() * torch.randn_like(variance))
            variance.mul_(torch.empty_like(variance).uniform_(0.7, 1.4))


def dynamic_axes(case):
    axes = {name: dict(extra) for name, extra in case.dynamic.items()}
    if case.batched:
        for name in (*case.inputs, *case.outputs):
            axes.setdefault(name, {})[0] = "N"
    return axes


def dynamic_shapes(case):
    dims = {}
    shapes = []
    for name in case.inputs:
        named = dict(case.dynamic.get(name, {}))
        if case.batched:
            named[0] = "N"
        shapes.append({axis: dims.setdefault(dim, torch.export.Dim(dim)) for axis, dim in named.items()} or None)
    parameters = inspect.signature(case.module.forward).parameters.values()
    variadic = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    return (tuple(shapes),) if variadic else tuple(shapes)


def export(case, path, args):
    inputs = tuple(case.inputs.values())
    names = {"input_names": list(case.inputs), "output_names": list(case.outputs)}
    if args.dynamo:
        torch.onnx.export(
            case.module, inputs, str(path), dynamo=True, opset_version=args.opset, verbose=False,
            dynamic_shapes=dynamic_shapes(case), external_data=args.external_data, **names,
        )  # fmt: skip
        return
    training = torch.onnx.TrainingMode.EVAL if args.fold_bn else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(
        case.module, inputs, str(path), dynamo=False, opset_version=min(args.opset, TORCHSCRIPT_MAX_OPSET),
        training=training, do_constant_folding=True, dynamic_axes=dynamic_axes(case), **names,
    )  # fmt: skip
    if args.opset > TORCHSCRIPT_MAX_OPSET:
        onnx.save(onnx.version_converter.convert_version(onnx.load(path), args.opset), path)
    if args.external_data:
        model = onnx.load(path)
        onnx.save(model, path, save_as_external_data=True, location=path.name + ".data", size_threshold=1024)


def share_initializers(path):
    """Makes bit-identical initializers one, as graph simplifiers do. Returns how many uses were redirected.

    The exporter spells a shared initializer as Identity nodes; these go too, so that all uses name the tensor itself.
    """
    model = onnx.load(path)
    graph = model.graph
    first, renamed, kept = {}, {}, []
    outputs = {value.name for value in graph.output}
    for tensor in graph.initializer:
        raw = onnx.numpy_helper.to_array(tensor)
        key = (tensor.data_type, tuple(tensor.dims), hashlib.sha256(np.ascontiguousarray(raw).tobytes()).digest())
        same = first.setdefault(key, tensor.name)
        if same != tensor.name and tensor.name not in outputs:
            renamed[tensor.name] = same
        else:
            kept.append(copy.deepcopy(tensor))
    nodes, constants = [], set(first.values())
    for node in graph.node:
        source = renamed.get(node.input[0], node.input[0]) if node.op_type == "Identity" else None
        if source in constants and node.output[0] not in outputs:
            renamed[node.output[0]] = source
        else:
            nodes.append(copy.deepcopy(node))
    del graph.node[:]
    graph.node.extend(nodes)

    def rename(graph):
        for node in graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = renamed.get(name, name)
            for attribute in node.attribute:
                for inner in [attribute.g, *attribute.graphs]:
                    rename(inner)

    rename(graph)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.save(model, path)
    return len(renamed)


def other_sizes(case):
    """The case's inputs with one more sample and other dynamic axes a little shorter."""
    out = []
    for name, tensor in case.inputs.items():
        axes = dict(case.dynamic.get(name, {}))
        if case.batched:
            axes[0] = "N"
        for axis in axes:
            size = tensor.shape[axis]
            tensor = tensor.narrow(axis, 0, size - 2) if size > 4 else torch.cat([tensor, tensor.narrow(axis, 0, 1)], axis)
        out.append(tensor.contiguous())
    return out


def verify(case, path, compare):
    """Checker, one run, and the distance from torch as a fraction of the output's range."""
    onnx.checker.check_model(str(path), full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = other_sizes(case)
    feeds = dict(zip(case.inputs, (tensor.numpy() for tensor in inputs)))
    wanted = {value.name for value in session.get_inputs()}
    got = session.run(None, {name: array for name, array in feeds.items() if name in wanted})
    if not compare:
        return 0.0
    expected = case.module(*inputs)
    expected = expected if isinstance(expected, (tuple, list)) else [expected]
    worst = 0.0
    for ours, theirs in zip(got, expected, strict=True):
        theirs = theirs.numpy()
        if ours.shape != theirs.shape:
            raise ValueError(f"onnxruntime gives shape {ours.shape}, torch {theirs.shape}")
        if not np.isfinite(theirs).all():
            raise ValueError("torch's output is not finite")
        if theirs.dtype.kind == "f":
            worst = max(worst, float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-6)))
    return worst


def build(entry, path, args):
    """Exports and checks one model; returns what the manifest says about it."""
    torch.manual_seed(args.seed + zlib.crc32(entry.name.encode()))
    case = entry.make()
    case.module.eval()
    randomize(case.module, args.dedup)
    if entry.group != "detection":  # these take one image, too few values for statistics
        calibrate(case.module, tuple(case.inputs.values()), args.dedup)
    params = sum(parameter.numel() for parameter in case.module.parameters())
    facts = {"name": entry.name, "group": entry.group, "file": path.name, "opset": args.opset, "params": params,
             "exporter": "dynamo" if args.dynamo else "torchscript"}  # fmt: skip
    export(case, path, args)
    if args.dedup:
        facts["shared"] = share_initializers(path)
    facts["bytes"] = sum(part.stat().st_size for part in path.parent.glob(path.name + "*"))
    facts["inputs"] = {name: list(tensor.shape) for name, tensor in case.inputs.items()}
    facts["outputs"] = list(case.outputs)
    facts["dynamic"] = {k: {str(a): d for a, d in v.items()} for k, v in dynamic_axes(case).items() if k in case.inputs}
    if not args.no_check:
        facts["error"] = round(verify(case, path, entry.compare), 7)
    return facts


def remove(path):
    for part in path.parent.glob(path.name + "*"):
        part.unlink()


def reason(error):
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split("[Caused by the value")[0].split())
    return f"{type(error).__name__}: {text[:300]}"


@contextlib.contextmanager
def silence():
    """Drops what exporters print, from Python and from C++ alike."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, copied in enumerate(kept, 1):
            os.dup2(copied, number)
            os.close(copied)


def histogram(paths):
    """(domain, op, opset) -> [nodes, models], descending into subgraphs and functions."""
    counts = collections.defaultdict(lambda: [0, 0])
    for path in paths:
        model = onnx.load(path, load_external_data=False)
        versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
        seen = collections.Counter()

        def visit(nodes):
            for node in nodes:
                domain = node.domain or "ai.onnx"
                seen[domain, node.op_type, versions.get(domain, 0)] += 1
                for attribute in node.attribute:
                    for graph in [attribute.g, *attribute.graphs]:
                        visit(graph.node)

        visit(model.graph.node)
        for function in model.functions:
            visit(function.node)
        for key, number in seen.items():
            counts[key][0] += number
            counts[key][1] += 1
    return counts


def print_histogram(counts, out):
    print(f"# {'domain':<12} {'op':<28} {'opset':>5} {'nodes':>8} {'models':>7}", file=out)
    for (domain, op, opset), (nodes, models) in sorted(counts.items()):
        print(f"  {domain:<12} {op:<28} {opset:>5} {nodes:>8} {models:>7}", file=out)
    names = sorted({(domain, op) for domain, op, _ in counts})
    print(f"# {len(names)} operators: " + " ".join(op if d == "ai.onnx" else f"{d}::{op}" for d, op in names), file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="*", type=Path, help="folder for the models")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="only models of these names")
    parser.add_argument("--group", action="append", default=[], metavar="GROUP",
                        help="structures, transformers, classification, video, segmentation, detection")  # fmt: skip
    parser.add_argument("--all", action="store_true", help=f"models over {LARGE_MB} MB too")
    parser.add_argument("--opset", type=int, help="17; 18 with --dynamo")
    parser.add_argument("--dynamo", action="store_true", help="the torch.export exporter instead of TorchScript")
    parser.add_argument("--fold-bn", action="store_true", help="let the exporter fold BatchNormalization")
    parser.add_argument("--dedup", action="store_true", help="constant biases, and equal initializers made one")
    parser.add_argument("--external-data", action="store_true", help="weights in a .data file beside the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip-existing", action="store_true", help="leave files that are there")
    parser.add_argument("--no-check", action="store_true", help="do not check and run what was exported")
    parser.add_argument("--list", action="store_true", help="print the models and stop")
    parser.add_argument("--histogram", action="store_true", help="count operators in the folders and stop")
    parser.add_argument("--trace", action="store_true", help="print tracebacks of failures")
    args = parser.parse_args()
    args.opset = args.opset or (18 if args.dynamo else 17)

    if args.histogram:
        print_histogram(histogram(sorted(p for folder in args.out for p in folder.rglob("*.onnx"))), sys.stdout)
        return 0
    chosen = [
        entry for entry in entries()
        if (not args.only or any(fnmatch.fnmatch(entry.name, glob) for glob in args.only))
        and (not args.group or entry.group in args.group)
        and (args.all or entry.megabytes < LARGE_MB)
    ]  # fmt: skip
    if args.list:
        for entry in chosen:
            print(f"{entry.group:<15} {entry.name:<40} {entry.megabytes:8.1f} MB" if entry.params else
                  f"{entry.group:<15} {entry.name}")  # fmt: skip
        return 0
    if len(args.out) != 1:
        parser.error("one output folder is needed")
    out = args.out[0]
    out.mkdir(parents=True, exist_ok=True)

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    os.environ.setdefault("TORCH_LOGS", "-all")
    torch.set_grad_enabled(False)
    torch.backends.mha.set_fastpath_enabled(False)
    failures = []
    with open(out / "manifest.jsonl", "a") as manifest:
        for entry in chosen:
            path = out / f"{entry.name}.onnx"
            if args.skip_existing and path.exists():
                continue
            remove(path)
            start = time.time()
            try:
                with silence():
                    facts = build(entry, path, args)
                note = f"{facts['bytes'] / 1e6:8.2f} MB  {facts.get('error', 0):.1e}"
                if facts.get("error", 0) > 1e-3:
                    facts["failed"] = f"differs from torch by {facts['error']:.2g} of its range"
                    failures.append((entry.name, facts["failed"]))
                    note += "  DIFFERS"
            except Exception as error:  # exporters raise anything
                if args.trace:
                    traceback.print_exc()
                facts = {"name": entry.name, "group": entry.group, "opset": args.opset, "failed": reason(error)}
                failures.append((entry.name, facts["failed"]))
                note = "FAILED " + facts["failed"]
                remove(path)
            print(f"{entry.name:<40} {time.time() - start:6.1f} s  {note}", flush=True)
            print(json.dumps(facts), file=manifest, flush=True)
            gc.collect()
    with open(out / "ops.txt", "w") as file:
        print_histogram(histogram(sorted(out.glob("*.onnx"))), file)
    print(f"{len(chosen) - len(failures)} of {len(chosen)} models written")
    for name, why in failures:
        print(f"  {name}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
