"""Ways to look inside a network, one a file.

A file whose outcome lies on the pixels of given images has a function ``pixel_map(model, images,
output, *, scalars=None, batch_size=64)``, which returns an array of shape (n, height, width) or
(n, height, width, n_channels); positive where a pixel speaks for more of the output.
"""
