"""`SavedModelEngine`: exported SavedModels by TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.errors import first_line
from anime_tf.inference.engines.graph import run_graph
from anime_tf.io.native_stderr import import_tensorflow
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, read_plain_file

# Operations that compute and do nothing else: those that export writes, and their like.
_COMPUTING = """
    Abs AddN AddV2 All Any AsString AvgPool BatchMatMulV2 BatchToSpaceND BiasAdd BitwiseAnd
    BitwiseXor BroadcastArgs BroadcastTo Case Cast Ceil ClipByValue ConcatV2 ConcatenateDataset
    Const Conv2D Conv2DBackpropInput Cumsum DatasetToSingleElement DecodeImage DecodeJpeg DecodePng
    DecodeRaw DenseBincount DepthToSpace DepthwiseConv2dNative DynamicStitch Einsum Elu EncodeJpeg
    EncodePng EnsureShape Equal Erf Exp ExpandDims Fill Floor FloorDiv FloorMod FusedBatchNormV3
    GatherNd GatherV2 Greater GreaterEqual Identity IdentityN If IgnoreErrorsDataset LeakyRelu Less
    LessEqual Log LogicalAnd LogicalNot LogicalOr MapDataset MatMul Max MaxPool Maximum Mean Min
    Minimum MirrorPad Mul Neg NoOp NotEqual OnesLike Pack Pad PadV2 PartitionedCall Pow Prod Range
    Rank ReadVariableOp RealDiv Reciprocal ReduceJoin Relu Relu6 Reshape ResizeBicubic
    ResizeBilinear ResizeNearestNeighbor Reverse ReverseV2 Round Rsqrt Select SelectV2 Selu Shape
    ShapeN Sigmoid Sign Size Slice Softmax Softplus SpaceToBatchND SpaceToDepth Split SplitV Sqrt
    Square SquaredDifference Squeeze StatefulPartitionedCall StatelessCase StatelessIf
    StatelessWhile StopGradient StridedSlice StringJoin StringLength StringSplitV2 Sub Substr Sum
    TakeDataset Tanh TensorDataset TensorListFromTensor TensorListGetItem TensorListReserve
    TensorListSetItem TensorListStack Tile Transpose Unpack Where While ZerosLike
"""
OPERATIONS = frozenset(_COMPUTING.split())

# Functions that write and read checkpoints, and the operations that they may have besides.
_CHECKPOINT_FUNCTIONS = ("__inference__traced_save_", "__inference__traced_restore_")
CHECKPOINT_OPERATIONS = frozenset(
    {
        *("AssignVariableOp", "DisableCopyOnRead", "MergeV2Checkpoints", "RestoreV2", "SaveV2"),
        *("ShardedFilename", "StaticRegexFullMatch"),
    }
)
_GRAPH_OPERATIONS = frozenset({"Placeholder", "VarHandleOp"})  # outside of functions besides

SAVED_MODEL_FILE = "saved_model.pb"  # file that every SavedModel folder contains


def check_folder(path: Path) -> None:
    """Raise FileNotFoundError or ValueError for what is no SavedModel folder."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder; expected an exported SavedModel")
    if not (path / SAVED_MODEL_FILE).is_file():
        found = f"a folder without {SAVED_MODEL_FILE}" if path.is_dir() else "a file"
        remedy = ""
        if (path / "saved_model" / SAVED_MODEL_FILE).is_file():
            remedy = f"; name {path / 'saved_model'}"
        elif (path / "generator.keras").is_file():  # of a training
            remedy = f"; name {path / 'generator.keras'}"
        raise ValueError(f"{path}: expected a SavedModel folder, got {found}{remedy}")


class SavedModelEngine:
    """Runs an exported SavedModel folder by TensorFlow, without classes of this package.

    A SavedModel is a program; see `check_operations`.

    Args:
        path: The folder.
        trust_weights: Run any operations.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: A damaged SavedModel, or one that export did not make.
    """

    def __init__(self, path: str | os.PathLike[str], *, trust_weights: bool = False) -> None:
        path = Path(path)
        check_folder(path)
        import_tensorflow()
        import tensorflow as tf

        if not trust_weights:
            check_operations(path)
        try:
            self._loaded = tf.saved_model.load(os.fspath(path))  # keeps the variables alive
        except Exception as error:  # of damaged values TensorFlow raises anything
            raise _damaged(path, error) from error
        run = self._loaded.signatures.get("serving_default")
        if run is None or not _takes_pictures(run):
            raise ValueError(
                f"{path}: expected a SavedModel whose signature serving_default takes and returns "
                "float32 pictures (n, height, width, 3) of any size, got another network; make "
                "one with export.py"
            )
        (self._output,) = run.structured_outputs
        (self._input,) = run.structured_input_signature[1]
        self._run = run

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `Engine`."""
        return run_graph(lambda x: self._run(**{self._input: x}), pictures_pm1)[self._output]


def check_operations(path: Path) -> None:
    """Check that a SavedModel computes and does nothing else.

    TensorFlow has operations that read and write files, print, and call Python. Nothing is run.

    Raises:
        ValueError: It has operations that export does not write, or is damaged.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    data = read_plain_file(path / SAVED_MODEL_FILE, "a SavedModel", MAX_WEIGHTS_BYTES)
    try:
        metas = saved_model_pb2.SavedModel.FromString(data).meta_graphs
    except DecodeError as error:
        raise _damaged(path, error) from error
    foreign: set[str] = set()
    for meta in metas:
        graph = meta.graph_def
        if not meta.HasField("object_graph_def"):
            foreign.add("a graph of TensorFlow 1")
        foreign |= {node.op for node in graph.node} - OPERATIONS - _GRAPH_OPERATIONS
        called = set(meta.object_graph_def.concrete_functions)
        for function in graph.library.function:
            for node in function.node_def:
                for value in node.attr.values():
                    called |= {value.func.name, *(one.name for one in value.list.func)}
        for function in graph.library.function:
            name = function.signature.name
            # Written by tf.saved_model.save, and not run by loading.
            unused = name.startswith(_CHECKPOINT_FUNCTIONS) and name not in called
            allowed = OPERATIONS | CHECKPOINT_OPERATIONS if unused else OPERATIONS
            foreign |= {node.op for node in function.node_def} - allowed
    if foreign:
        raise ValueError(
            f"{path}: expected a SavedModel of export, got operations that it does not write "
            f"({', '.join(sorted(foreign)[:5])}); they may read and write files: use "
            "--trust_weights if you trust its source"
        )


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: the SavedModel is incomplete or damaged ({first_line(error)}); export it again"
    )


def _takes_pictures(run: Any) -> bool:
    """Whether the only input and the only output are float32 pictures of any size."""
    sides = [run.structured_input_signature[1], run.structured_outputs]
    return all(
        [(tuple(spec.shape), spec.dtype.name) for spec in side.values()]
        == [((None, None, None, 3), "float32")]
        for side in sides
    )
