"""Bit-preserving graph passes over a captured step: they remove work that is the same for each batch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node, map_arg

ATEN = torch.ops.aten
VIEWS = (ATEN.t.default, ATEN.view.default, ATEN.unsqueeze.default, ATEN.expand.default)
UNTOLD = (ATEN._unsafe_view.default,)  # a view, though its schema does not say so
FILLED = (ATEN.ones_like.default, ATEN.zeros_like.default)  # which use only their argument's metadata
# PyTorch's Python functions have less call overhead than its operators; these take the same arguments.
FASTER: dict[Any, Callable[..., Any]] = {
    ATEN.add.Tensor: torch.add,
    ATEN.addmm.default: torch.addmm,
    ATEN.div.Tensor: torch.div,
    ATEN.exp.default: torch.exp,
    ATEN.mean.default: torch.mean,
    ATEN.mm.default: torch.mm,
    ATEN.mul.Tensor: torch.mul,
    ATEN.relu.default: torch.relu,
    ATEN.sigmoid.default: torch.sigmoid,
    ATEN.stack.default: torch.stack,
    ATEN.sub.Tensor: torch.sub,
    ATEN.sum.dim_IntList: torch.sum,
    ATEN.t.default: torch.t,
    ATEN.tanh.default: torch.tanh,
    ATEN.view.default: Tensor.view,
}


def simplify(recorded: GraphModule) -> GraphModule:
    """Simplify a recording of `make_fx` in place; the remaining kernels get the same numbers.

    Removes detach and double transposes, and precomputes views of weights and tensors that depend on shapes
    alone. Tensors that an operation writes into are left as they are.
    """
    graph = recorded.graph
    touched = {_base(target) for node in graph.nodes for target in _written(node)}
    _leave_out(graph)
    fold_constants(recorded, touched)
    graph.eliminate_dead_code()
    _keep_apart(graph)
    recorded.recompile()
    return recorded


def use_fast_calls(recorded: GraphModule) -> GraphModule:
    """Reduce the Python call overhead of a recording, in place."""
    for node in recorded.graph.nodes:
        if node.op == "get_attr":  # a module's own __getattr__ is slow
            recorded.__dict__[node.target] = getattr(recorded, node.target)
        node.target = FASTER.get(node.target, node.target)
    recorded.recompile()
    return recorded


def _base(node: Node) -> Node:
    """The node that owns the memory of `node`, behind views and in-place writes."""
    while True:
        source = node.all_input_nodes[0] if node.target is operator.getitem else node
        if (viewed := _viewed(source)) is None:
            return node  # each result of a multi-output operation owns its memory
        node = viewed


def _viewed(node: Node) -> Node | None:
    """The argument that shares its memory with the result of an operation, or None."""
    if node.target in UNTOLD:
        return node.all_input_nodes[0]
    if not isinstance(node.target, OpOverload):
        return None
    infos = [each.alias_info for each in node.target._schema.returns if each.alias_info]
    shared = set().union(*(info.before_set for info in infos), "*")  # "*": in a list of results
    for argument, given in _arguments(node):
        info = argument.alias_info
        if info is not None and shared & (info.before_set | info.after_set):
            return given
    return None


def _written(node: Node) -> list[Node]:
    """The tensors that an operation writes into."""
    if not isinstance(node.target, OpOverload):
        return []
    infos = [(argument.alias_info, given) for argument, given in _arguments(node)]
    return [given for info, given in infos if info is not None and info.is_write]


def _arguments(node: Node) -> Iterator[tuple[Any, Node]]:
    """The tensor arguments of an operation, also those in lists, each with its schema entry."""
    for number, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        positional = number < len(node.args)
        given = node.args[number] if positional else node.kwargs.get(argument.name)
        for each in given if isinstance(given, list | tuple) else [given]:
            if isinstance(each, Node):
                yield argument, each


def _is_pure(node: Node) -> bool:
    return (
        isinstance(node.target, OpOverload)
        and not node.target._schema.is_mutable
        and torch.Tag.nondeterministic_seeded not in node.target.tags
    )


def _leave_out(graph: Graph) -> None:
    for node in graph.nodes:
        source = node.args[0] if node.args else None
        if node.target is ATEN.detach.default:
            node.replace_all_uses_with(source)
        elif node.target is ATEN.t.default and isinstance(source, Node) and source.target is ATEN.t.default:
            node.replace_all_uses_with(source.args[0])


def fold_constants(recorded: GraphModule, touched: set[Node]) -> None:
    """Precompute views of weights, whose addresses are fixed, and tensors that depend on shapes alone."""
    weights: dict[Node, Tensor] = {}
    constants: dict[Node, Tensor] = {}
    for node in list(recorded.graph.nodes):
        inputs = node.all_input_nodes
        if node.op == "get_attr":
            weights[node] = getattr(recorded, node.target).detach()
        elif node.target in VIEWS and inputs[0] in weights:
            view = node.target(weights[inputs[0]], *node.args[1:])
            weights[_put(recorded, node, view)] = view
        elif node in touched:
            continue
        elif node.target in FILLED:
            like = inputs[0].meta["val"]
            shaped = torch.empty_strided(like.size(), like.stride(), dtype=like.dtype, device=like.device)
            filled = node.target(shaped, **node.kwargs)
            constants[_put(recorded, node, filled)] = filled
        elif inputs and _is_pure(node) and all(each in constants for each in inputs):
            arguments = map_arg((node.args, node.kwargs), constants.__getitem__)
            made = node.target(*arguments[0], **arguments[1])
            if isinstance(made, Tensor):
                constants[_put(recorded, node, made)] = made


def _put(recorded: GraphModule, node: Node, value: Tensor) -> Node:
    name = f"made_{node.name}"
    recorded.register_buffer(name, value, persistent=False)
    with recorded.graph.inserting_before(node):
        held = recorded.graph.get_attr(name)
    node.replace_all_uses_with(held)
    return held


def _keep_apart(graph: Graph) -> None:
    """Give each output memory of its own: gradients are clipped in place."""
    output = graph.output_node()
    taken: set[Node] = set()
    outputs: list[Node | None] = []
    for node in output.args[0]:  # type: ignore[union-attr]
        if isinstance(node, Node):
            base = _base(node)
            if base in taken or base.op == "get_attr":
                with graph.inserting_before(output):
                    node = graph.call_function(ATEN.clone.default, (node,))
            taken.add(base)
        outputs.append(node)  # type: ignore[arg-type]
    output.args = (outputs,)
