"""How one kind of quantity is scored and drawn: one chapter a file, named by `Family.chapter`.

Each module exposes ``scores``, ``statistics``, ``across``, ``figures``, ``stamps``, ``baselines``
(and ``by_number``, where one number can stand against the network), and the words of the report:
``NAMES`` of scores, ``PERCENT`` (beginnings of names shown as percentages), ``CAPTIONS`` (figure to
section and sentence), ``BY`` (of a figure along a column), ``TEXT`` of each section, ``GALLERY``,
and optionally ``PER_CLASS`` (beginnings of names that each class has), ``SAID`` (remarks of
scores that the text makes once for all), and ``together`` (figures of several targets at once)
with ``TOGETHER`` (the scores that stand in one table where there are many of them).
"""
