"""Steps of pytorch-tree-lstm, one for each line of the standard input, answered by a line.

Runs in an environment with PyTorch and without TensorFlow: `python torch_worker.py INPUTS OUTPUTS`.
INPUTS is the `.npz` file of a batch and the weights; to OUTPUTS go the states and the
gradient of the first step.
"""

import sys

import numpy as np
import torch
from treelstm import TreeLSTM, calculate_evaluation_orders


def prepared(parents, mask):
    """Node order, adjacency and edge order of a batch, as the package's own `batch_tree_input`."""
    orders, edges, edge_orders, offset = [], [], [], 0
    for its_parents, its_mask in zip(parents, mask, strict=True):
        its_parents = its_parents[its_mask]
        child = np.flatnonzero(its_parents >= 0)
        child = child[np.argsort(its_parents[child], kind="stable")]
        adjacency = np.stack([its_parents[child], child], axis=1)
        order, edge_order = calculate_evaluation_orders(adjacency, len(its_parents))
        orders.append(order)
        edge_orders.append(edge_order)
        edges.append(adjacency + offset)
        offset += len(its_parents)
    return [torch.tensor(np.concatenate(arrays)) for arrays in (orders, edges, edge_orders)]


def module_with(kernel, recurrent_kernel, bias):
    """Its module with our weights, whose gates are in the same order."""
    units = len(recurrent_kernel)
    gates, forget = slice(3 * units), slice(3 * units, None)
    module = TreeLSTM(len(kernel), units)
    state = {
        "W_iou.weight": kernel[:, gates].T,
        "W_iou.bias": bias[gates],
        "U_iou.weight": recurrent_kernel[:, gates].T,
        "W_f.weight": kernel[:, forget].T,
        "W_f.bias": bias[forget],
        "U_f.weight": recurrent_kernel[:, forget].T,
    }
    module.load_state_dict({name: torch.tensor(value.copy()) for name, value in state.items()})
    return module


def main() -> None:
    """Answers until the input ends."""
    torch.set_num_threads(1)
    source, target = sys.argv[1:]
    data = np.load(source)
    mask = data["mask"]
    structure = prepared(data["parents"], mask)
    module = module_with(data["kernel"], data["recurrent_kernel"], data["bias"])
    features = torch.tensor(data["features"][mask], requires_grad=True)
    cotangent = torch.tensor(data["cotangent"][mask])

    def step():
        features.grad = None
        module.zero_grad()
        h, _ = module(features, *structure)
        (h * cotangent).sum().backward()
        return h

    np.savez(target, states=step().detach().numpy(), gradient=features.grad.numpy())
    print("ready", flush=True)
    for _ in sys.stdin:
        step()
        print("done", flush=True)


if __name__ == "__main__":
    main()
