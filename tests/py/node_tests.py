"""Writes the tests that the onnx package holds into one folder: `node_tests.py OUT`.

Every test is OUT/KIND/NAME/model.onnx with test_data_set_N/input_M.pb and output_M.pb beside it. Tests of the kinds node and
simple are made by the package's own code, the others are copied from it.
"""

import json
import pathlib
import shutil
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.model import collect_testcases
from onnx.backend.test.loader import DATA_DIR, load_model_tests
from onnx.backend.test.runner import Runner

COPIED = ["simple", "pytorch-operator", "pytorch-converted"]


def message(value, info):
    """A value as the message that its declared type asks for."""
    if isinstance(value, TensorProto):
        return value
    kind = info.type.WhichOneof("value")
    convert = {
        "map_type": numpy_helper.from_dict,
        "sequence_type": numpy_helper.from_list,
        "optional_type": numpy_helper.from_optional,
        "tensor_type": numpy_helper.from_array,
    }
    return convert[kind](value, info.name)


def write(case, out: pathlib.Path) -> None:
    folder = out / case.kind / case.name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    for n, (inputs, outputs) in enumerate(case.data_sets):
        to = folder / f"test_data_set_{n}"
        to.mkdir()
        for what, values, infos in ("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output):
            # Inputs with an initializer come last and need no value.
            for i, (value, info) in enumerate(zip(values, infos, strict=False)):
                (to / f"{what}_{i}.pb").write_bytes(message(value, info).SerializeToString())


def light(data: pathlib.Path, out: pathlib.Path) -> None:
    """Whole networks; the package makes up the input as its own runner does."""
    for model in sorted(data.glob("*.onnx")):
        to = out / model.stem / "test_data_set_0"
        to.mkdir(parents=True)
        shutil.copy(model, out / model.stem / "model.onnx")
        graph = onnx.load(model).graph
        stored = {t.name for t in graph.initializer}
        for i, x in enumerate(x for x in graph.input if x.name not in stored):
            value = Runner.generate_dummy_data(x, seed=0, name=model.stem, random=False)
            (to / f"input_{i}.pb").write_bytes(numpy_helper.from_array(value, x.name).SerializeToString())
        for i in range(len(graph.output)):
            shutil.copy(data / f"{model.stem}_output_{i}.pb", to / f"output_{i}.pb")


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    data = pathlib.Path(DATA_DIR)
    # Casts that overflow and means of nothing are what some tests are about.
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    made = load_model_tests(kind="node") + [c for c in collect_testcases() if c.kind == "simple"]
    for case in made:
        write(case, out)
    for kind in COPIED:
        for folder in sorted(data.glob(f"{kind}/*/model.onnx")):
            if not (out / kind / folder.parent.name).exists():
                shutil.copytree(folder.parent, out / kind / folder.parent.name)
    light(data / "light", out / "light")
    count = sum(1 for _ in out.glob("*/*/model.onnx"))
    (out / "made.json").write_text(json.dumps({"onnx": onnx.__version__, "tests": count}))


main()
