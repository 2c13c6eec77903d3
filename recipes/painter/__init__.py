"""The painter: photos to gouache backgrounds, cels and manga, by image processing alone.

`paint.py` is the way in; every other module holds one step. Pictures are float32 RGB (sRGB values)
in [0, 1], planes are float32 (h, w), and Lab means OKLab. Lengths are pixels of a picture whose
longer side is about 704.
"""
