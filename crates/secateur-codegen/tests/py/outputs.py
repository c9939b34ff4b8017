#!/usr/bin/env python3
"""Inputs for a compiled model, what onnxruntime makes of them, and how far other results are from that.

    outputs.py make|compare MODEL FOLDER [--samples N|all] [--dim NAME=N ...] [--data X.npy --mean LIST --std LIST]

`make` writes FOLDER/in0.bin.. and FOLDER/expected.bin, raw little-endian, outputs one after the other, and prints a JSON
line: samples, the bytes of one sample of each input and output, and itself, the largest difference between onnxruntime's
results with and without its optimizer, a share of the largest. `compare` prints how far FOLDER/out.bin is from
FOLDER/expected.bin: difference, of each number a share of itself but of no less than a thousandth of the largest; of_largest,
a share of the largest; and with --classes same_class, the samples on which the largest element is the same.
"""

import argparse
import json

import numpy as np
import onnxruntime

TYPES = {
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def numbers(text):
    return np.array([float(x) for x in text.split(",")], np.float32).reshape(1, -1, 1, 1)


def feeds(session, args):
    dims = dict(d.split("=") for d in args.dim)
    if args.data:
        x = np.load(args.data)
        x = x if args.samples == "all" else x[: int(args.samples)]
        x = ((x.astype(np.float32) / 255 - numbers(args.mean)) / numbers(args.std)).astype(np.float32)
        (given,) = session.get_inputs()
        known = all(isinstance(d, int) for d in given.shape[1:])
        return {given.name: x.reshape([len(x), *given.shape[1:]]) if known else x}
    random = np.random.default_rng(7)
    batch = 100 if args.samples == "all" else int(args.samples)
    out = {}
    for x in session.get_inputs():
        free = not isinstance(x.shape[0], int)
        size = lambda a, d: d if isinstance(d, int) else int(dims.get(f"{x.name}.{a}", dims.get(d, 0)))
        shape = [batch if free else x.shape[0]] + [size(a, d) for a, d in enumerate(x.shape) if a]
        kind = TYPES[x.type]
        data = random.normal(size=shape) if kind == np.float32 else random.integers(0, 200, shape)
        out[x.name] = data.astype(kind)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["make", "compare"])
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--samples", default="100")
    parser.add_argument("--dim", action="append", default=[])
    parser.add_argument("--data")
    parser.add_argument("--mean", default="0")
    parser.add_argument("--std", default="1")
    parser.add_argument("--classes", action="store_true")
    args = parser.parse_args()
    onnxruntime.set_default_logger_severity(3)
    if args.step == "compare":
        found = np.fromfile(f"{args.folder}/out.bin", np.float32)
        expected = np.fromfile(f"{args.folder}/expected.bin", np.float32)
        assert found.shape == expected.shape, (found.shape, expected.shape)
        least = np.abs(expected).max() * 1e-3
        far = np.abs(found - expected) / np.maximum(np.abs(expected), max(least, 1e-30))
        largest = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)
        finite = np.isfinite(found).all()
        answer = {k: float(v) if finite else float("inf") for k, v in (("difference", far.max()), ("of_largest", largest))}
        if args.classes:
            classes = [v.reshape(-1, json.load(open(f"{args.folder}/classes.json"))) for v in (found, expected)]
            answer["same_class"] = int((classes[0].argmax(1) == classes[1].argmax(1)).sum())
        print(json.dumps(answer))
        return
    feed, outputs, plain = None, None, onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    both = []
    for options in (None, plain):
        session = onnxruntime.InferenceSession(args.model, options)
        feed = feed or feeds(session, args)
        samples = len(next(iter(feed.values()))) if not isinstance(session.get_inputs()[0].shape[0], int) else 1
        results = [[] for _ in session.get_outputs()]
        step = 100
        for at in range(0, samples, step):
            part = session.run(None, {k: v[at : at + step] if samples > 1 else v for k, v in feed.items()})
            for kept, y in zip(results, part):
                kept.append(y)
        both.append([np.concatenate(r) for r in results])
    outputs = both[0]
    flat = [np.concatenate([y.ravel().astype(np.float64) for y in side]) for side in both]
    itself = np.abs(flat[0] - flat[1]).max() / max(np.abs(flat[0]).max(), 1e-30)
    for i, x in enumerate(feed.values()):
        np.ascontiguousarray(x).tofile(f"{args.folder}/in{i}.bin")
    with open(f"{args.folder}/expected.bin", "wb") as f:
        for y in outputs:
            f.write(np.ascontiguousarray(y).tobytes())
    json.dump(int(outputs[0].shape[-1]), open(f"{args.folder}/classes.json", "w"))
    size = lambda arrays: [a.nbytes // samples for a in arrays]
    print(json.dumps({"samples": samples, "inputs": size(feed.values()), "outputs": size(outputs), "itself": float(itself)}))


main()
