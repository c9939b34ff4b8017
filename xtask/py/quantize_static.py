#!/usr/bin/env python3
"""Quantize a model with onnxruntime's quantize_static, and measure models in onnxruntime.

    quantize_static.py MODEL --calib X.npy --data X.npy --labels Y.npy --mean LIST --std LIST
        [--first N] --out DIR [FILE.onnx ...]

Quantizes MODEL with MinMax, Entropy and Percentile ranges (QDQ, one scale an output of a weight, int8, everything else as
it comes, after onnxruntime's own preprocessing), and prints a JSON line for MODEL, each of the three, and every FILE:

    name, top1 (share of the first N labels), seconds (of quantization, for the three), bytes,
    pairs (QuantizeLinear nodes with a computed input), float (Conv, Gemm and MatMul that read floats)
"""

import argparse
import json
import os
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

# onnxruntime's Entropy and Percentile want batches of one size.
BATCH = 32
# What only moves elements passes integers on in a runtime.
MOVES = ("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "MaxPool", "Slice", "Split")


def numbers(text):
    return np.array([float(x) for x in text.split(",")], np.float32).reshape(1, -1, 1, 1)


def session(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Reader(CalibrationDataReader):
    def __init__(self, name, x):
        size = next(n for n in range(BATCH, 0, -1) if len(x) % n == 0)
        self.left = iter([{name: x[i : i + size]} for i in range(0, len(x), size)])

    def get_next(self):
        return next(self.left, None)


def linear_on_floats(graph):
    made = {o: n for n in graph.node for o in n.output}

    def dequantized(name):
        while name in made and made[name].op_type in MOVES:
            name = made[name].input[0]
        return name in made and made[name].op_type == "DequantizeLinear"

    linear = [n for n in graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    return sum(not all(dequantized(i) for i in n.input[:2]) for n in linear)


def measure(path, x, y):
    s = session(path)
    name = s.get_inputs()[0].name
    out = np.concatenate([s.run(None, {name: x[i : i + 100]})[0] for i in range(0, len(x), 100)])
    model = onnx.load(path)
    constants = {t.name for t in model.graph.initializer}
    pairs = sum(n.op_type == "QuantizeLinear" and n.input[0] not in constants for n in model.graph.node)
    return {
        "top1": float((out.argmax(1) == y).mean()),
        "bytes": os.path.getsize(path),
        "pairs": pairs,
        "float": linear_on_floats(model.graph),
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    for name in ("calib", "data", "labels", "mean", "std", "out"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--first", type=int)
    p.add_argument("files", nargs="*")
    a = p.parse_intermixed_args()

    def images(path, first=None):
        return (np.load(path)[:first].astype(np.float32) / 255 - numbers(a.mean)) / numbers(a.std)

    x, y = images(a.data, a.first), np.load(a.labels)[: a.first]

    def say(name, path, **more):
        print(json.dumps({"name": name, **measure(path, x, y), **more}), flush=True)

    say("float", a.model)
    ready = os.path.join(a.out, "ready.onnx")
    quant_pre_process(a.model, ready, skip_symbolic_shape=True)
    name = session(ready).get_inputs()[0].name
    calib = images(a.calib)
    for method in (CalibrationMethod.MinMax, CalibrationMethod.Entropy, CalibrationMethod.Percentile):
        path = os.path.join(a.out, f"{method.name}.onnx")
        start = time.monotonic()
        quantize_static(
            ready,
            path,
            Reader(name, calib),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=method,
        )
        say(f"quantize_static, {method.name}", path, seconds=time.monotonic() - start)
    for path in a.files:
        say(os.path.basename(path).removesuffix(".onnx"), path)


main()
