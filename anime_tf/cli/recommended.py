"""Settings that a style recommends, and its license in logs."""

from __future__ import annotations

from typing import Any

from absl import flags, logging

from anime_tf.errors import first_line
from anime_tf.styles.builtin import BUILTIN
from anime_tf.styles.registry import Style, format_settings, style_of

LIVE_STYLE = "cel_live"  # style of a camera


def apply_style(values: flags.FlagValues) -> str:
    """Use, and log, the settings that the style of --weights recommends, unless a flag is given.

    Returns words about the license of each style, for the end of the last log line.
    """
    words = ""
    for weights in filter(None, (values.face_weights, values.weights)):
        style = style_of(weights)
        if style is not None:
            words += f"; style {style.name}, license {style.license.name}"
            if weights is values.weights:
                _recommend(values, style)
    return words


def apply_camera(values: flags.FlagValues) -> None:
    """Use, and log, settings that run live if the input is a camera, unless a flag is given."""
    from anime_tf.io.video.readers.camera import camera_number

    if values.input is None or camera_number(values.input) is None:
        return
    used = {}
    if not values["weights"].present:
        used["weights"] = LIVE_STYLE
    builtin = BUILTIN.get(str(used.get("weights", values.weights)))
    if builtin is not None and builtin.model == "live" and not values["stabilize"].present:
        used["stabilize"] = "off"  # its frames hardly flicker, see docs/builtin_styles.md
    for flag, value in used.items():
        values[flag].value = value
    if used:
        logging.info("settings for a camera: %s (flags change them)", format_settings(used))


def _recommend(values: flags.FlagValues, style: Style) -> None:
    used = {}
    for flag, value in style.settings.items():
        if flag not in values or values[flag].present:
            continue
        used[flag] = _choose_faces(values, value) if flag == "faces" else value
        values[flag].value = used[flag]
    if used:
        logging.info(
            "settings that %s recommends: %s (flags change them)", style.name, format_settings(used)
        )


def _choose_faces(values: flags.FlagValues, value: str) -> str:
    """Return "blend" where faces cannot be cut out, and "off" where they cannot be found."""
    from anime_tf.faces.dlib_models import import_dlib, model_path

    try:
        import_dlib()
        model_path(values.face_landmarks)
    except (ValueError, OSError) as error:
        logging.warning("stylizing whole pictures, not faces: %s", first_line(error))
        return "off"
    if "bits" in values and values["bits"].value == 16:
        return "off"
    parser: Any = values["faces"].parser
    return value if value in parser.setting.choices else "blend"
