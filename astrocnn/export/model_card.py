"""The model card of an exported network: a README with the front matter that Hugging Face reads.

References
----------
Mitchell et al. 2019, FAT* (arXiv:1810.03993).
https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astrocnn.evaluation.labels import format_interval, get_label, split_class_score
from astrocnn.evaluation.report_chapters import score_tables
from astrocnn.metrics import Score
from astrocnn.targets import Task

__all__ = ["Training", "build_model_card"]


@dataclass(frozen=True)
class Training:
    """What a network was trained on, and its scores, for its model card.

    Attributes
    ----------
    title : str
        Of the run.
    task : Task
        With the families of its predictions.
    architecture : str
        Its name.
    facts : mapping of str to str
        Rows of the table about the training, in their order.
    simulated : bool
        Whether the images are simulated.
    data : str
        Name of the scored data set.
    scores : sequence of Score
        Of the test split; none if it has not been scored.
    baselines : mapping of str to sequence of Score
        By name.
    times_scored : int
        How often the test split has been scored.
    """

    title: str
    task: Task
    architecture: str
    facts: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False
    data: str = "test split"
    scores: Sequence[Score] = ()
    baselines: Mapping[str, Sequence[Score]] = field(default_factory=dict)
    times_scored: int = 0


def build_model_card(
    config: Mapping[str, Any], training: Training, *, license: str = "unknown"
) -> str:
    """The text of ``README.md``: front matter in YAML, then Markdown.

    Parameters
    ----------
    config : mapping
        Metadata of the exported network.
    training : Training
        Facts and scores.
    license : str
        Identifier of the license of the weights, as Hugging Face knows it.
    """
    parts = [
        _front_matter(config, training, license),
        f"# {training.title}\n",
        _introduction(config, training),
        "## Training data\n",
        _table(("", ""), [list(pair) for pair in training.facts.items()]),
        "## Scores\n",
        _scores(training),
        "## Inputs\n",
        _inputs(config),
        "## Outputs\n",
        _outputs(config),
        "## Limits\n",
        "\n".join(f"- {sentence}" for sentence in _limits(config, training)) + "\n",
        "## Use\n",
        _usage(config),
    ]
    # Non-breaking blanks are for pages.
    return "\n".join(parts).replace("\u00a0", " ")


def _front_matter(config: Mapping[str, Any], training: Training, license: str) -> str:
    classes = any("classes" in output for output in config["outputs"].values())
    kind = {"onnx": "onnx", "saved_model": "tensorflow", "litert": "tflite"}[config["format"]]
    tags = ["astronomy", "astrocnn", kind, config["task"], training.architecture]
    lines = ["---", f"license: {json.dumps(license)}", "library_name: keras", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in [*tags, *["simulated-data"] * training.simulated]]
    if classes and "image" in config["inputs"]:
        lines.append("pipeline_tag: image-classification")
    defined = [
        score
        for score in training.scores
        if math.isfinite(score.value) and not split_class_score(score.name)[0]
    ]
    if defined:
        lines.append("metrics:")
        lines += [f"- {json.dumps(name)}" for name in dict.fromkeys(s.name for s in defined)]
        results = {
            "task": {
                "type": "image-classification" if classes else "tabular-regression",
                "name": config["task"],
            },
            "dataset": {"name": training.data, "type": "private", "split": "test"},
            "metrics": [
                {
                    "type": score.name,
                    "name": f"{_name(score)}, {score.level:.0%} interval {_interval(score)}",
                    "value": float(f"{score.value:.6g}"),
                }
                for score in defined
            ],
        }
        # JSON is YAML.
        model = {"name": training.title, "results": [results]}
        lines += ["model-index:", f"- {json.dumps(model)}"]
    return "\n".join([*lines, "---", ""])


def _name(score: Score) -> str:
    of = f" of {score.target}" if score.target else ""
    return f"{get_label(score.name)}{of}"


def _interval(score: Score) -> str:
    return format_interval(score).replace("\u00a0", " ") or "not computed"  # before JSON escapes


def _introduction(config: Mapping[str, Any], training: Training) -> str:
    bands = config["inputs"].get("image", {}).get("bands", ())
    source = f"cutouts in the bands {', '.join(bands)}" if bands else "catalogue columns"
    columns = config["inputs"].get("scalars", {}).get("columns", ())
    if bands and columns:
        source += f" and the scalars {', '.join(columns)}"
    text = (
        f"`{training.architecture}`, trained with {config['program']}, predicts "
        f"{', '.join(config['outputs'])} from {source}. Normalization and activations are inside "
        "of the file.\n"
    )
    if training.simulated:
        text += "\n**The training data are simulated.** No score here is one of real images.\n"
    return text


def _scores(training: Training) -> str:
    if not training.scores:
        return "The run has not been scored on its test split.\n"
    times = training.times_scored
    count = "once" if times == 1 else f"{times} times"
    simulated = "simulated " if training.simulated else ""
    tables = score_tables(training.task, training.scores, training.baselines, compact=True)
    text = (
        f"On the test split of the {simulated}data, which has been scored {count}; in brackets are "
        "95 % intervals. Scores are those of the run with its draws and calibration, beside "
        "baselines.\n"
    )
    return "\n".join([text, *(f"{t.caption}\n\n{_table(t.columns, t.rows)}" for t in tables)])


def _inputs(config: Mapping[str, Any]) -> str:
    rows = []
    if "image" in config["inputs"]:
        image = config["inputs"]["image"]
        scale = image["pixel_scale_arcsec"]
        rows.append(["`image`", f"float32, {_shape(image['shape'])}: object, y, x, band"])
        rows.append(["bands, in this order", ", ".join(image["bands"])])
        rows.append(["unit", image["unit"] or "that of the training images"])
        rows.append(["pixel scale", "unknown" if scale is None else f"{scale:.5g} arcsec"])
        rows.append(["pixels without data", "NaN, in any band"])
        rows.append(["background", "as in the training images; nothing is subtracted here"])
    if "scalars" in config["inputs"]:
        scalars = config["inputs"]["scalars"]
        rows.append(["`scalars`", f"float32, {_shape(scalars['shape'])}, as in the catalogue"])
        rows.append(["columns, in this order", ", ".join(scalars["columns"])])
    return _table(("Input", ""), rows)


def _outputs(config: Mapping[str, Any]) -> str:
    rows = []
    for name, output in config["outputs"].items():
        family = output["family"]["name"]
        meaning = f"parameters of the family `{family}`"
        if "classes" in output:
            if output["shape"][-1] == 1:
                meaning = f"probability of {output['classes'][-1]}"
            elif "counts" in family or "dirichlet" in family:
                meaning += f": {', '.join(output['classes'])}"
            else:
                meaning = f"probabilities of {', '.join(output['classes'])}"
        rows.append([f"`{name}`", f"float32, {_shape(output['shape'])}", meaning])
    return _table(("Output", "Type", "Meaning"), rows)


def _shape(shape: Sequence[object]) -> str:
    return f"({', '.join(str(n) for n in shape)})"


def _limits(config: Mapping[str, Any], training: Training) -> list[str]:
    parity = config["parity"]
    sentences = []
    if training.simulated:
        sentences.append("Trained on simulated images: untested on any telescope.")
    if config["draws"]:
        sentences.append(
            f"{config['draws']} draws of Monte-Carlo dropout (seed {config['seed']}) are the first "
            "axis of each output; their masks are constants, the same for every object."
        )
    else:
        sentences.append(
            "One deterministic pass: the scores above may be those of the mean over dropout draws, "
            "and the epistemic uncertainty is not part of the file."
        )
    for name, value in config["temperatures"].items():
        sentences.append(f"Probabilities of {name} are calibrated by a temperature of {value:.4g}.")
    if not config["temperatures"]:
        sentences.append("The probabilities are not calibrated.")
    sentences += config["not_included"]
    if config["views"] == "d4":
        sentences.append("Outputs are means over the orientations of each image.")
    sentences += [
        "Images of another pixel scale, unit, depth or seeing than those of the training give "
        "other results without a warning; the score of novelty is not part of the file.",
        f"Verified with {parity['runtime']} on {parity['objects']} objects ({parity['source']}): "
        f"largest difference from the trained network {parity['largest_difference']:.2g}.",
    ]
    return sentences


_RUN = {
    "onnx": (
        "import onnxruntime",
        'network = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])',
        "names = [output.name for output in network.get_outputs()]",
        "outputs = dict(zip(names, network.run(names, inputs)))",
    ),
    "saved_model": (
        "import tensorflow as tf",
        'network = tf.saved_model.load(".")',
        'predict = network.signatures["serving_default"]',
        "outputs = predict(**{name: tf.constant(value) for name, value in inputs.items()})",
    ),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        'network = Interpreter("model.tflite").get_signature_runner()',
        "outputs = network(**inputs)",
    ),
}


def _usage(config: Mapping[str, Any]) -> str:
    load, *steps = _RUN[config["format"]]
    lines = ["import json", "import numpy as np", load, ""]
    lines.append('about = json.load(open("config.json"))')
    lines.append("random = np.random.default_rng(0)  # in place of your own cutouts")
    lines.append('shapes = {k: v["shape"][1:] for k, v in about["inputs"].items()}')
    lines.append(
        'inputs = {k: random.normal(size=(8, *s)).astype("float32") for k, s in shapes.items()}'
    )
    lines += steps
    name, output = next(iter(config["outputs"].items()))
    if "classes" in output and output["shape"][-1] > 1:
        mean = f'np.asarray(outputs["{name}"])' + (".mean(axis=0)" * (len(output["shape"]) > 2))
        lines.append(f'classes = about["outputs"]["{name}"]["classes"]')
        lines.append(f"print([classes[i] for i in {mean}.argmax(axis=-1)])")
    else:
        lines.append(f'print(np.asarray(outputs["{name}"]))')
    code = "\n".join(lines)
    return f"In the folder of this file:\n\n```python\n{code}\n```\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
