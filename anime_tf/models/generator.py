"""`Generator`: the base class of all generators."""

from __future__ import annotations

from typing import Any, ClassVar

from keras import ops

from anime_tf.models.tree import ChainModel, sublayers


class Generator(ChainModel):
    """Network from photos to anime pictures.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB; each side at least `MINIMUM_SIDE` and,
    if a subclass does not say otherwise, a multiple of `STRIDE`. Output: pictures of the same size
    in [-1, 1], float32 under every precision.

    A subclass defines its blocks in `__init__`, in the order in which they run, and then calls
    `build((None, None, None, 3))`. It overrides `call` where the blocks are not a plain chain.

    Args:
        width: Channels of the first convolution; all others scale with it.

    Attributes:
        STRIDE: Sides that are multiples of it keep their size.
        MINIMUM_SIDE: Smallest height and width, a multiple of the stride.
        RECEPTIVE_FIELD_RADIUS: With frozen statistics, a pixel of the output depends on pixels of
            the input up to this far away in height or width.
        BYTES_PER_PIXEL: Memory that inference takes per pixel in float32, measured on a CPU at the
            published width.

    Raises:
        ValueError: `width` is less than 1.
    """

    STRIDE: ClassVar[int]
    MINIMUM_SIDE: ClassVar[int]
    RECEPTIVE_FIELD_RADIUS: ClassVar[int]
    BYTES_PER_PIXEL: ClassVar[int] = 850

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 1:
            raise ValueError(f"expected a width of at least 1, got {width}")
        self.width = width

    def call(self, inputs: Any) -> Any:
        x = inputs
        for block in sublayers(self):
            x = block(x)
        return to_picture(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


def to_picture(x: Any) -> Any:
    """Apply tanh in float32: bfloat16 has 8 bits, which do not hold a picture's 256 levels."""
    return ops.tanh(ops.cast(x, "float32"))
