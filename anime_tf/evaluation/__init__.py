"""Numbers for how a result looks: like the style, like the photo, flat and sharp."""
