"""How one kind of quantity is scored and drawn: one chapter a file, named by `Family.chapter`.

Each module exposes ``scores``, ``across``, ``figures`` and ``stamps``.
"""
