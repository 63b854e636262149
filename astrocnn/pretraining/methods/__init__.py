"""Methods of learning without labels, one paper a file.

A file holds ``loss(first, second, **options)``: of the projections of two views of the same n
objects, tensors of shape (n, d), a value for each object, of shape (n,), whose mean is minimized.
It works with `keras.ops`, does not depend on the order of the objects, and declares in ``WIDTHS``
the numbers of units of the layers of its projector.
"""
