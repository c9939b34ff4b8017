"""outputs.py MODEL FOLDER BATCH NAME=N.. : random inputs for a model, and what onnxruntime makes of them.

Writes FOLDER/in0.bin.. and FOLDER/expected.bin, raw little-endian, outputs one after the other; prints as JSON the bytes
of one sample of each input and output."""
import json
import sys

import numpy as np
import onnxruntime

TYPES = {
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def main():
    model, folder, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    dims = {k: int(v) for k, v in (a.split("=") for a in sys.argv[4:])}
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(model)
    random = np.random.default_rng(7)
    feed, sizes = {}, []
    for i, x in enumerate(session.get_inputs()):
        free = isinstance(x.shape[0], str) or x.shape[0] is None
        size = lambda a, d: d if isinstance(d, int) else dims.get(f"{x.name}.{a}", dims.get(d))
        shape = [batch if free else x.shape[0]] + [size(a, d) for a, d in enumerate(x.shape) if a]
        dtype = TYPES[x.type]
        data = random.normal(size=shape) if dtype == np.float32 else random.integers(0, 200, shape)
        feed[x.name] = data.astype(dtype)
        feed[x.name].tofile(f"{folder}/in{i}.bin")
        sizes.append(feed[x.name].nbytes // (batch if free else 1))
    outputs = session.run(None, feed)
    with open(f"{folder}/expected.bin", "wb") as f:
        for y in outputs:
            f.write(np.ascontiguousarray(y).tobytes())
    dynamic = all(isinstance(x.shape[0], str) or x.shape[0] is None for x in session.get_inputs())
    print(json.dumps({"inputs": sizes, "outputs": [y.nbytes // (batch if dynamic else 1) for y in outputs]}))


main()
