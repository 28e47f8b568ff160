"""MiniLM as a graph for onnxruntime: token ids and their mask in, vectors of length 1 out."""

import json

from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

OPSET = 20


class Builder:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def add(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"n{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, array):
        self.count += 1
        name = f"w{self.count}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name


def graph(path):
    import numpy

    config = json.loads(open(f"{path}/config.json").read())
    stored = load_file(f"{path}/model.safetensors")
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    to = Builder()
    numbers = lambda *values: to.weight(numpy.array(values, dtype="int64"))
    single = lambda value: to.weight(numpy.array(value, dtype="float32"))

    def linear(name, values):
        weight, bias = stored[f"{name}.weight"], stored[f"{name}.bias"]
        return to.add("Add", to.add("MatMul", values, to.weight(weight.T.copy())), to.weight(bias))

    def normed(name, values):
        scale, bias = to.weight(stored[f"{name}.weight"]), to.weight(stored[f"{name}.bias"])
        return to.add("LayerNormalization", values, scale, bias, axis=-1, epsilon=config["layer_norm_eps"])

    shape = to.add("Shape", "ids")
    length = to.add("Gather", shape, to.weight(numpy.array(1, dtype="int64")))
    zero, one = to.weight(numpy.array(0, dtype="int64")), to.weight(numpy.array(1, dtype="int64"))
    position = to.add("Range", zero, length, one)
    words = to.add("Gather", to.weight(stored["embeddings.word_embeddings.weight"]), "ids")
    places = to.add("Gather", to.weight(stored["embeddings.position_embeddings.weight"]), position)
    kinds = to.weight(stored["embeddings.token_type_embeddings.weight"][0])
    values = normed("embeddings.LayerNorm", to.add("Add", to.add("Add", words, places), kinds))
    # A masked token gets a score that no softmax sees.
    masked = to.add("Mul", to.add("Sub", single(1.0), "mask"), single(-1e9))
    masked = to.add("Unsqueeze", masked, numbers(1, 2))
    split, joined = numbers(0, 0, heads, hidden // heads), numbers(0, 0, hidden)
    scale = single(1 / (hidden // heads) ** 0.5)
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        parts = {
            name: to.add("Reshape", linear(f"{at}.attention.self.{name}", values), split)
            for name in ("query", "key", "value")
        }
        query = to.add("Transpose", parts["query"], perm=[0, 2, 1, 3])
        key = to.add("Transpose", parts["key"], perm=[0, 2, 3, 1])
        value = to.add("Transpose", parts["value"], perm=[0, 2, 1, 3])
        scores = to.add("Add", to.add("Mul", to.add("MatMul", query, key), scale), masked)
        seen = to.add("MatMul", to.add("Softmax", scores, axis=-1), value)
        seen = to.add("Reshape", to.add("Transpose", seen, perm=[0, 2, 1, 3]), joined)
        values = to.add("Add", linear(f"{at}.attention.output.dense", seen), values)
        values = normed(f"{at}.attention.output.LayerNorm", values)
        wide = to.add("Gelu", linear(f"{at}.intermediate.dense", values))
        values = normed(f"{at}.output.LayerNorm", to.add("Add", linear(f"{at}.output.dense", wide), values))
    mask = to.add("Unsqueeze", "mask", numbers(2))
    total = to.add("ReduceSum", to.add("Mul", values, mask), numbers(1), keepdims=0)
    mean = to.add("Div", total, to.add("ReduceSum", "mask", numbers(1), keepdims=1))
    last = to.add("LpNormalization", mean, axis=-1, p=2)
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "tokens"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["texts", "tokens"]),
    ]
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["texts", hidden])]
    made = helper.make_graph(to.nodes, "minilm", inputs, outputs, to.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
