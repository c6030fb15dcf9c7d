#!/usr/bin/env python3
"""Loads a bngpu run of images into a PyTorch module and compares it with `bngpu predict`.

    pip install torch numpy safetensors
    bngpu train --bn --lr 1e-3 --output runs/first
    bngpu predict runs/first --data digits --json -o digits.jsonl
    python3 docs/pytorch.py runs/first digits.jsonl src/data/digits/digits.csv.gz

The last argument holds the raw images: an IDX file of images, or a table of pixels whose last column is the label.
The keys of best.safetensors are PyTorch's, and so is the layout of the weights: no transpose, strict=True.
Compared are log-probabilities: what `predict` gives is e to these.
"""
import gzip
import json
import sys

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

ACTIVATIONS = {
    "relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "leaky-relu": nn.LeakyReLU(0.01),
    "elu": nn.ELU(), "gelu": nn.GELU(), "silu": nn.SiLU(), "identity": nn.Identity(),
}


class Scaling(nn.Module):
    """Each input times a factor of each sub-model: [B, 1, I] -> [B, S, I]."""

    def __init__(self, inputs, sub_models):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(sub_models, inputs))

    def forward(self, x):
        return x * self.weight


class Layer(nn.Module):
    """W x + b, or batch normalisation of W x, of sub-models that share W or have their own: [B, S, I] -> [B, S, O]."""

    def __init__(self, inputs, outputs, sub_models, weights=1, bn_eps=None):
        super().__init__()
        self.shape = weights, outputs, inputs
        self.weight = nn.Parameter(torch.empty(weights * outputs, inputs))
        if bn_eps is None:
            self.bias = nn.Parameter(torch.empty(sub_models * outputs))
        else:
            self.bn = nn.BatchNorm1d(sub_models * outputs, eps=bn_eps)

    def forward(self, x):
        weight = self.weight.view(self.shape).expand(x.shape[1], -1, -1)
        z = torch.einsum("bsi,soi->bso", x, weight)
        flat = z.flatten(1)
        return (self.bn(flat) if hasattr(self, "bn") else flat + self.bias).view(z.shape)


class Network(nn.Module):
    """What the metadata `architecture` of a run describes: [B, I] -> log-probabilities [B, O]."""

    def __init__(self, inputs, hidden, outputs, activation, sub_models=1, bn_eps=None, **_):
        super().__init__()
        widths = [inputs, *hidden]
        layers = [Scaling(inputs, sub_models)] if sub_models > 1 else []
        layers += [Layer(i, o, sub_models, bn_eps=bn_eps) for i, o in zip(widths, hidden)]
        self.layers = nn.ModuleList([*layers, Layer(widths[-1], outputs, sub_models, weights=sub_models)])
        self.activation = ACTIVATIONS[activation]

    def forward(self, x):
        x = x[:, None, :]
        for layer in self.layers[:-1]:
            x = layer(x)
            if isinstance(layer, Layer):
                x = self.activation(x)
        # The mean of the sub-models' probabilities.
        logs = torch.log_softmax(self.layers[-1](x).double(), -1)
        return torch.logsumexp(logs, 1) - np.log(logs.shape[1])


def read_images(path):
    """Raw bytes [N, F] of an IDX file or of a table of pixels."""
    data = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
    if data[:2] == b"\0\0":
        shape = np.frombuffer(data, ">u4", data[3], 4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape[0], -1)
    return np.loadtxt(data.decode().splitlines(), delimiter=",")[:, :-1]


def main(run, predictions, images):
    with safe_open(f"{run}/best.safetensors", "pt") as file:
        metadata, weights = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    if "members" in metadata:
        sys.exit(f"{run} is an ensemble; load each member by its entry in `members` and its names without members.N.")
    network = Network(**json.loads(metadata["architecture"]))
    print(network.load_state_dict(weights, strict=True))
    network.eval()

    scaling = json.loads(metadata["preprocessing"])["inputs"].get("bytes")
    if scaling is None:
        sys.exit(f"{run} was trained on a table; the network is loaded, its inputs are not rebuilt here")
    shift, factor = (np.array(scaling[name], np.float32) for name in ("shift", "factor"))
    x = (read_images(images).astype(np.float32) - shift) * factor
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()

    rows = [json.loads(line) for line in open(predictions)]
    got = np.log([list(row["probabilities"].values()) for row in rows][-len(expected):])
    assert got.shape == expected.shape, f"{got.shape} predictions for {expected.shape} outputs"
    error = np.abs(got - expected)
    print(f"{len(expected)} rows, log-probabilities down to {expected.min():.1f}: largest difference {error.max():.1e}")
    assert (error <= 1e-5 + 1e-5 * np.abs(expected)).all(), "they differ by more than 1e-5 + 1e-5 of the value"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
