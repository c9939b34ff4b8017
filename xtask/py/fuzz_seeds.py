"""Writes the seeds of the fuzz target `load`: small models that use many parts of the format.

    .venv/bin/python xtask/py/fuzz_seeds.py fuzz/seeds/load
"""
import os
import sys

import numpy as np
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper


def tensor(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def model(nodes, inits=(), inputs=None, outputs=None, **more):
    sparse = more.pop("sparse", None)
    graph = helper.make_graph(
        nodes, "g", inputs or [tensor("x", "N", 2, 4, 4)], outputs or [tensor("y", None)], list(inits),
        sparse_initializer=sparse)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, **more)


def conv():
    w = numpy_helper.from_array(np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3), "w")
    b = helper.make_tensor("b", TensorProto.FLOAT, [2], [0.5, -0.5])
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["y"])]
    return model(nodes, [w, b])


def types():
    kinds = {"i8": np.int8, "u8": np.uint8, "i64": np.int64, "f64": np.float64, "f16": np.float16, "bool": np.bool_}
    inits = [numpy_helper.from_array(np.ones(3, t), n) for n, t in kinds.items()]
    inits.append(helper.make_tensor("i4", TensorProto.INT4, [3], [1, -1, 2]))
    inits.append(helper.make_tensor("text", TensorProto.STRING, [1], [b"text"]))
    return model([helper.make_node("Identity", ["x"], ["y"])], inits)


def branch():
    def side(op):
        return helper.make_graph([helper.make_node(op, ["x"], ["z"])], op, [], [tensor("z", None)])

    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=side("Relu"), else_branch=side("Neg"))]
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    return model(nodes, inputs=[tensor("x", 1), condition])


def external():
    w = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "8")):
        w.external_data.add(key=key, value=value)
    return model([helper.make_node("Add", ["x", "w"], ["y"])], [w], inputs=[tensor("x", 2)])


def sparse():
    values = helper.make_tensor("s", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("s_i", TensorProto.INT64, [2], [0, 3])
    s = SparseTensorProto(values=values, indices=indices, dims=[4])
    return model([helper.make_node("Add", ["x", "s"], ["y"])], inputs=[tensor("x", 4)], sparse=[s])


def function():
    body = [helper.make_node("Relu", ["a"], ["b"])]
    f = helper.make_function("own", "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    m = model([helper.make_node("F", ["x"], ["y"], domain="own")], functions=[f], doc_string="a function")
    m.opset_import.append(helper.make_opsetid("own", 1))
    m.metadata_props.add(key="k", value="v")
    return m


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for make in (conv, types, branch, external, sparse, function):
        data = make().SerializeToString(deterministic=True)
        if make is function:
            data += b"\xfa\x7d\x03new"  # a field that no version defines
        with open(os.path.join(sys.argv[1], make.__name__ + ".onnx"), "wb") as f:
            f.write(data)
