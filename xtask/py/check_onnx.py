#!/usr/bin/env python3
"""Check ONNX models and compare them in onnxruntime.

    check_onnx.py A.onnx                        check one model and run it once
    check_onnx.py A.onnx B.onnx                 the same for both, and compare their outputs
    check_onnx.py --stdin < pairs.jsonl         one answer line for each request line

A request line is {"a": "A.onnx", "b": "B.onnx", "dims": {"T": 12}, "batch": 2, "seed": 0, "int_max": 7,
"data": "X.npy"}; everything but "a" may be left out and then comes from the command line. {"quit": true} ends the
batch. A bare JSON array ["A.onnx", "B.onnx"] or string is taken as well. Lines are answered in order, and flushed one
by one.

The answer is one JSON object:

    checker   "ok", or the first complaint of onnx.checker (full_check)
    run       "ok", or what onnxruntime said
    max_abs   largest |a - b| over all outputs (with two models)
    max_rel   largest over all outputs of max|a - b| / max|a|
    outputs   [{"name", "dtype", "shape", "max_abs", "max_rel", "sqnr_db", "range", "finite"}]
    ok        true if both models are valid and both ran

Inputs are seeded random numbers of the declared types and shapes. Symbolic dims are --dim NAME=N, else --batch
for a leading dim, else 8. Integer inputs are drawn from 0..--int-max (0 or 1 if "mask" or "type" is in the name), bool
inputs are true or false. `--data X.npy` gives the first input, `--data NAME=X.npy` any input; its samples are cut to
--batch unless --all-data.

Exit code: 0 all valid and ran, 1 otherwise, 2 wrong usage.
"""

import argparse
import json
import math
import sys

import numpy as np
import onnx
import onnxruntime as ort

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(uint32)": np.uint32,
    "tensor(int64)": np.int64,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}


def check(path):
    """onnx.checker on the file itself, so that external data and files over 2 GB are seen as they are."""
    try:
        onnx.checker.check_model(path, full_check=True)
        return "ok"
    except Exception as error:  # the checker raises several unrelated types
        return first_line(error)


def first_line(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:600]


def session(path, args):
    levels = ort.GraphOptimizationLevel
    for level in [levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_BASIC, levels.ORT_ENABLE_EXTENDED] if args.levels else []:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = level
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if args.no_optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def shape_of(declared, dims, batch):
    out = []
    for axis, dim in enumerate(declared):
        if isinstance(dim, int) and dim >= 0:
            out.append(dim)
        elif dim in dims:
            out.append(dims[dim])
        else:
            out.append(batch if axis == 0 else 8)
    return out


def random_integers(rng, name, shape, int_max):
    """Ids below a small bound; masks and segment ids are 0 or 1, and a mask keeps its first position."""
    flag = "mask" in name or "type" in name
    array = rng.integers(0, min(int_max, 1) if flag else int_max, shape, endpoint=True)
    if "mask" in name and array.ndim > 0 and array.shape[-1] > 0:
        array[..., 0] = 1
    return array


def make_inputs(sess, dims, batch, seed, data, int_max, args):
    """One array for each model input; the same seed gives the same arrays whatever the order of the inputs."""
    feeds = {}
    dims = dict(dims)
    for value in sess.get_inputs():  # a symbol that leads one input is the batch wherever it stands
        if value.shape and isinstance(value.shape[0], str):
            dims.setdefault(value.shape[0], batch)
    for index, value in enumerate(sess.get_inputs()):
        dtype = DTYPES.get(value.type)
        if dtype is None:
            raise ValueError(f"input {value.name}: {value.type} is not supported")
        given = data.get(value.name, data.get("") if index == 0 else None)
        if given is not None:
            array = np.load(given, mmap_mode="r")
            array = np.asarray(array if args.all_data else array[:batch])
            feeds[value.name] = np.ascontiguousarray(array.astype(dtype))
            continue
        shape = shape_of(value.shape, dims, batch)
        # Seeded by the name, so that two models get the same data for an input they share.
        rng = np.random.default_rng([seed, *value.name.encode()])
        if dtype is np.bool_:
            array = rng.random(shape) < 0.7
        elif np.issubdtype(dtype, np.integer):
            array = random_integers(rng, value.name, shape, int_max)
        else:
            array = rng.standard_normal(shape)
        feeds[value.name] = np.asarray(array).astype(dtype)
    return feeds


def compare(a, b):
    """The distance of b from a. NaN and infinities in the same places count as equal."""
    if a.shape != b.shape:
        return {"max_abs": math.inf, "max_rel": math.inf, "sqnr_db": -math.inf,
                "error": f"shape {list(a.shape)} against {list(b.shape)}"}
    if a.size == 0:
        return {"max_abs": 0.0, "max_rel": 0.0, "sqnr_db": math.inf}
    x, y = a.astype(np.float64), b.astype(np.float64)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(invalid="ignore"):
        diff = np.where(same, 0.0, np.abs(x - y))
    diff = np.where(np.isnan(diff), np.inf, diff)
    finite = np.isfinite(x)
    scale = float(np.max(np.abs(x[finite]), initial=0.0))
    noise = float(np.sum(np.square(diff)))
    signal = float(np.sum(np.square(x[finite])))
    max_abs = float(diff.max())
    if noise == 0.0:
        sqnr = math.inf
    else:
        sqnr = 10.0 * math.log10(signal / noise) if signal > 0.0 and math.isfinite(noise) else -math.inf
    max_rel = max_abs / scale if scale > 0.0 else (0.0 if max_abs == 0.0 else math.inf)
    return {"max_abs": max_abs, "max_rel": max_rel, "sqnr_db": sqnr}


def examine(request, args):
    """Answers one request; never raises for a bad model."""
    paths = [request["a"]] + ([request["b"]] if request.get("b") else [])
    dims = {**args.dims, **request.get("dims", {})}
    batch = request.get("batch", args.batch)
    seed = request.get("seed", args.seed)
    data = dict(args.data)
    extra = request.get("data", {})
    data.update({"": extra} if isinstance(extra, str) else extra)

    answer = {"a": paths[0]}
    if len(paths) == 2:
        answer["b"] = paths[1]
    complaints = []
    for path in paths if not args.no_check else []:
        said = check(path)
        if said != "ok":
            complaints.append(f"{path}: {said}")
    answer["checker"] = "skipped" if args.no_check else ("; ".join(complaints) or "ok")
    answer["run"] = "ok"
    answer["outputs"] = []
    results = []
    feeds = None
    for path in paths:
        try:
            sess = session(path, args)
            if feeds is None:
                feeds = make_inputs(sess, dims, batch, seed, data, request.get("int_max", args.int_max), args)
            names = [value.name for value in sess.get_outputs()]
            wanted = {value.name: feeds[value.name] for value in sess.get_inputs()}
            results.append(dict(zip(names, sess.run(names, wanted))))
            del sess
        except Exception as error:  # onnxruntime raises many types; each is an answer
            answer["run"] = f"{path}: {first_line(error)}"
            break
    if answer["run"] == "ok":
        for name, array in results[0].items():
            entry = describe(name, array)
            if len(results) == 2:
                other = results[1].get(name)
                if other is None:
                    entry.update({"max_abs": math.inf, "max_rel": math.inf, "error": "missing in the second model"})
                else:
                    entry.update(compare(np.asarray(array), np.asarray(other)))
            answer["outputs"].append(entry)
        if len(results) == 2:
            extra_names = [name for name in results[1] if name not in results[0]]
            if extra_names:
                answer["extra_outputs"] = extra_names
            answer["max_abs"] = max((entry["max_abs"] for entry in answer["outputs"]), default=0.0)
            answer["max_rel"] = max((entry["max_rel"] for entry in answer["outputs"]), default=0.0)
    answer["ok"] = not complaints and answer["run"] == "ok"
    return answer


def describe(name, array):
    array = np.asarray(array)
    entry = {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
    if array.size and array.dtype.kind in "fiub":
        entry["finite"] = bool(np.isfinite(array).all())
        entry["range"] = [float(array.min()), float(array.max())]
    return entry


def plain(value):
    """JSON knows no infinities: they become strings that Rust's and Python's float parsers both read."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def pairs(texts, convert):
    out = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        out[name if sign else ""] = convert(value)
    return out


def as_request(line):
    request = json.loads(line)
    if isinstance(request, str):
        return {"a": request}
    if isinstance(request, list):
        return dict(zip(("a", "b"), request))
    return request


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="one or two .onnx files")
    parser.add_argument("--stdin", action="store_true", help="read requests from standard input, one JSON a line")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N", help="value of a symbolic dim")
    parser.add_argument("--batch", type=int, default=2, help="value of an unnamed leading dim (2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--int-max", type=int, default=7, help="largest value in integer inputs (7)")
    parser.add_argument("--data", action="append", default=[], metavar="[NAME=]X.npy", help="data for an input")
    parser.add_argument("--all-data", action="store_true", help="do not cut --data to --batch samples")
    parser.add_argument("--no-check", action="store_true", help="skip onnx.checker")
    parser.add_argument("--no-optimize", action="store_true", help="run with onnxruntime's graph optimizer off")
    parser.add_argument("--levels", action="store_true", help="every level of the optimizer must take the model")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.stdin == bool(args.models) or len(args.models) > 2:
        parser.error("give one or two models, or --stdin")
    args.dims = pairs(args.dim, int)
    args.data = pairs(args.data, str)

    good = True
    if args.stdin:
        for line in sys.stdin:
            if not line.strip():
                continue
            try:
                request = as_request(line)
                if request.get("quit"):
                    break
                answer = examine(request, args)
            except Exception as error:  # a bad line must not end the batch
                answer = {"ok": False, "error": first_line(error)}
            good &= answer["ok"]
            print(json.dumps(plain(answer)), flush=True)
    else:
        answer = examine(dict(zip(("a", "b"), args.models)), args)
        good = answer["ok"]
        print(json.dumps(plain(answer), indent=2))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
