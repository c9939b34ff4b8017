"""Compare integers that were computed elsewhere with onnxruntime's, its optimizer off.

    steps.py MODEL X.bin DIR

X.bin holds the model's one input as f32, any number of samples; DIR holds an int32 file `N.bin` for output N. Prints a JSON
line: elements, those that are the same, and those that differ by more than one.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime as ort

model, data, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
options.log_severity_level = 3
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
(given,) = session.get_inputs()
x = np.fromfile(data, np.float32).reshape([-1] + [int(d) for d in given.shape[1:]])
found = {"elements": 0, "same": 0, "beyond": 0}
for n, theirs in enumerate(session.run(None, {given.name: x})):
    ours = np.fromfile(folder / f"{n}.bin", np.int32)
    apart = np.abs(ours - theirs.astype(np.int32).ravel())
    found["elements"] += apart.size
    found["same"] += int((apart == 0).sum())
    found["beyond"] += int((apart > 1).sum())
print(json.dumps(found))
