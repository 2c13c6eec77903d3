"""Copy and read videos through the readers and writers."""

from anime_tf.io.video.codecs import DEFAULT_ENCODING
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.open import open_reader, open_writer
from anime_tf.io.video.span import WHOLE


def copy(source, target, span=WHOLE, encoding=DEFAULT_ENCODING):
    """Return the damage of the source."""
    with open_reader(source, span) as video, open_writer(target, video, encoding) as writer:
        for item in video.items():
            if isinstance(item, Frame):
                writer.write_frame(item)
            else:
                writer.write_packet(item)
    return video.damage


def frames(source, span=WHOLE):
    """Return (time in seconds, frame) of each frame."""
    with open_reader(source, span) as video:
        return [
            (item.pts * video.time_base, item) for item in video.items() if isinstance(item, Frame)
        ]


def times(source, span=WHOLE):
    return [float(time) for time, _ in frames(source, span)]
