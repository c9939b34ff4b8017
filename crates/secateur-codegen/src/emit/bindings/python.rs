//! The Python module: ctypes and numpy over the C interface.

use super::{About, types};
use crate::program::Port;

/// `NAME.py`.
pub fn module(a: &About) -> String {
    let n = &a.name;
    let ports = |ports: &[(String, Port)]| -> String {
        let one = |(field, p): &(String, Port)| {
            let dims: Vec<String> = p.dims.iter().map(ToString::to_string).collect();
            let comma = if dims.len() == 1 { "," } else { "" };
            format!(
                "    ({field:?}, np.{}, ({}{comma}), {}),\n",
                types(p.elem).2,
                dims.join(", "),
                if p.batched { "True" } else { "False" }
            )
        };
        ports.iter().map(one).collect()
    };
    format!(
        r#"""" {n}: made by secateur {version} for {target} ({core}). Do not edit.

    import {n}
    y = {n}.run(x)          # x: array of the input's shape, any batch where the model has one

The library is lib{n}.so beside this file; where it is missing it is linked from {n}.o with the C compiler that the
environment variable CC names, or cc. Several threads may call run at once.
"""
import ctypes
import os
import subprocess

import numpy as np

WORKSPACE_BYTES = {workspace}
# Name, type, shape of one sample, whether axis 0 is the batch.
INPUTS = [
{inputs}]
OUTPUTS = [
{outputs}]
_ERRORS = {{1: "a pointer is null", 2: "a pointer is not aligned", 3: "the batch is not possible"}}


def _load():
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(here, "lib{n}.so")
    if not os.path.exists(path):
        made = path + "." + str(os.getpid())
        cc = os.environ.get("CC", "cc")
        subprocess.run([cc, "-shared", "-nostdlib", "-o", made, os.path.join(here, "{n}.o")], check=True)
        os.replace(made, path)
    lib = ctypes.CDLL(path)
    lib.{n}_run.argtypes = [ctypes.c_void_p] * 3
    lib.{n}_run.restype = ctypes.c_int
    lib.{n}_describe.restype = ctypes.c_char_p
    return lib


_lib = _load()


class _Inputs(ctypes.Structure):
    _fields_ = [("batch_", ctypes.c_size_t)] + [(name, ctypes.c_void_p) for name, *_ in INPUTS]


class _Outputs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name, *_ in OUTPUTS]


def describe():
    """Names, shapes, types, workspace, compiler version and target, as JSON."""
    return _lib.{n}_describe().decode()


def run(*inputs):
    """Runs the network; one array for each input, in order. Returns the output, or a tuple of outputs."""
    if len(inputs) != len(INPUTS):
        raise TypeError(f"{{len(INPUTS)}} inputs are needed, not {{len(inputs)}}")
    batch, arrays = None, []
    for x, (name, dtype, shape, batched) in zip(inputs, INPUTS):
        x = np.ascontiguousarray(x, dtype=dtype)
        if not batched:
            good = x.shape == shape
        else:
            good = x.ndim == len(shape) and x.shape[1:] == shape[1:] and batch in (None, x.shape[0])
            batch = x.shape[0] if good else None
        if not good:
            want = ("N",) + shape[1:] if batched else shape
            raise ValueError(f"{{name}} has shape {{x.shape}}, not {{want}}")
        arrays.append(x)
    batch = 1 if batch is None else batch
    outputs = [np.empty(((batch,) + s[1:]) if b else s, dtype=t) for _, t, s, b in OUTPUTS]
    if batch == 0:
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
    memory = np.empty(WORKSPACE_BYTES + 64, np.uint8)
    start = memory.ctypes.data
    start += -start % 64
    given = _Inputs(batch, *[x.ctypes.data for x in arrays])
    taken = _Outputs(*[y.ctypes.data for y in outputs])
    status = _lib.{n}_run(ctypes.byref(given), ctypes.byref(taken), start)
    if status:
        raise RuntimeError(_ERRORS.get(status, str(status)))
    return outputs[0] if len(outputs) == 1 else tuple(outputs)
"#,
        version = a.version,
        target = a.target,
        core = a.core,
        workspace = a.workspace,
        inputs = ports(&a.inputs),
        outputs = ports(&a.outputs),
    )
}
