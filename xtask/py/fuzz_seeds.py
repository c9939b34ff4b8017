"""Writes the seeds of the fuzz targets `load` and `prune`: small models that use many parts of the format,
and small networks with structures that pruning follows.

    .venv/bin/python xtask/py/fuzz_seeds.py fuzz/seeds
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


def weight(name, *shape):
    return numpy_helper.from_array(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape), name)


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def residual():
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "w2"], ["b"], group=4),
        helper.make_node("Add", ["b", "a"], ["s"]),
        helper.make_node("Concat", ["s", "r"], ["c"], axis=1),
        helper.make_node("Split", ["c", "parts"], ["p", "q"], axis=1),
        helper.make_node("GlobalAveragePool", ["p"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w3"], ["y"], transB=1),
    ]
    inits = [weight("w1", 4, 2, 1, 1), weight("w2", 4, 1, 1, 1), weight("w3", 3, 5), ints("parts", 5, 3)]
    return model(nodes, inits, outputs=[tensor("y", "N", 3)])


def heads():
    nodes = [
        helper.make_node("MatMul", ["x", "wq"], ["q"]),
        helper.make_node("Reshape", ["q", "split"], ["qh"]),
        helper.make_node("Transpose", ["qh"], ["qt"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["qh"], ["kt"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["qt", "kt"], ["s"]),
        helper.make_node("Softmax", ["s"], ["a"], axis=-1),
        helper.make_node("MatMul", ["a", "qt"], ["h"]),
        helper.make_node("Transpose", ["h"], ["ht"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["ht", "merge"], ["m"]),
        helper.make_node("MatMul", ["m", "wo"], ["y"]),
    ]
    inits = [weight("wq", 4, 6), weight("wo", 6, 4), ints("split", 0, 3, 2, 3), ints("merge", 0, 3, 6)]
    return model(nodes, inits, inputs=[tensor("x", "N", 3, 4)], outputs=[tensor("y", "N", 3, 4)])


def shuffle():
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"]),
        helper.make_node("Shape", ["a"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "two"], ["t"], axis=0),
        helper.make_node("Reshape", ["a", "t"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["c", "back"], ["d"]),
        helper.make_node("Slice", ["d", "zero", "three", "one"], ["e"]),
        helper.make_node("Conv", ["e", "w2"], ["y"]),
    ]
    inits = [weight("w1", 4, 2, 1, 1), weight("w2", 2, 3, 1, 1), ints("zero", 0), ints("two", 2, 2, 4, 4),
             ints("back", 0, 4, 4, 4), ints("three", 3), ints("one", 1)]
    return model(nodes, inits, outputs=[tensor("y", "N", 2, 4, 4)])


def recurrent():
    nodes = [
        helper.make_node("GRU", ["x", "w", "r", "b"], ["o", "l"], hidden_size=3),
        helper.make_node("Squeeze", ["l", "zero"], ["h"]),
        helper.make_node("MatMul", ["h", "p"], ["y"]),
    ]
    inits = [weight("w", 1, 9, 2), weight("r", 1, 9, 3), weight("b", 1, 18), ints("zero", 0), weight("p", 3, 2)]
    return model(nodes, inits, inputs=[tensor("x", 4, "N", 2)], outputs=[tensor("y", "N", 2)])


def write(folder, makers):
    os.makedirs(folder, exist_ok=True)
    for make in makers:
        data = make().SerializeToString(deterministic=True)
        if make is function:
            data += b"\xfa\x7d\x03new"  # a field that no version defines
        with open(os.path.join(folder, make.__name__ + ".onnx"), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    write(os.path.join(sys.argv[1], "load"), (conv, types, branch, external, sparse, function))
    write(os.path.join(sys.argv[1], "prune"), (residual, heads, shuffle, recurrent))
