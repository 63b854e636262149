"""Random changes of training images, one a file.

A leaf is a frozen dataclass, or a function ``(images, seed, **options)`` with the attribute
`breaks`: see `astrocnn.datasets.augmentations.base.Step` for the contract.
"""
