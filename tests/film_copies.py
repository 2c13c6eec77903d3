"""Films through a source and a writer, as they are."""

from anime_tf.io.video.codecs import DEFAULT_CODING
from anime_tf.io.video.demux import Frame
from anime_tf.io.video.readers import open_source
from anime_tf.io.video.span import WHOLE
from anime_tf.io.video.writers import open_writer


def copy(source, target, span=WHOLE, coding=DEFAULT_CODING):
    """Returns the damage of the source."""
    with open_source(source, span) as film, open_writer(target, film, coding) as writer:
        for item in film.items():
            if isinstance(item, Frame):
                writer.write_frame(item)
            else:
                writer.write_packet(item)
    return film.damage


def frames(source, span=WHOLE):
    """(time in seconds, frame) of each."""
    with open_source(source, span) as film:
        return [
            (item.pts * film.time_base, item) for item in film.items() if isinstance(item, Frame)
        ]


def times(source, span=WHOLE):
    return [float(time) for time, _ in frames(source, span)]
