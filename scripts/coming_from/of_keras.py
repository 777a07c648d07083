"""The questions to Keras, on either backend. It computes in float32."""

import importlib
import inspect
import warnings
from typing import Any

import numpy as np

from coming_from.inputs import INPUTS, NAN, Answers, Tensor, attempt, given


def keras_answers() -> Answers:
    """Ask Keras, on the backend that KERAS_BACKEND names. It computes in float32."""
    keras: Any = importlib.import_module("keras")
    found = keras_classes(keras) | keras_categorical(keras) | keras_binary(keras)
    return found | keras_functions(keras)


def keras_number(keras: Any, value: Tensor) -> Any:  # noqa: ANN401
    """Bring a result of Keras to NumPy."""
    return keras.ops.convert_to_numpy(value)


def keras_loss(keras: Any, name: str, *arrays: Any, weights: Any = None, **options: Any) -> Any:  # noqa: ANN401
    """Make a loss of Keras, and call it."""
    loss = getattr(keras.losses, name)(**options)
    return attempt(lambda: keras_number(keras, loss(*arrays, sample_weight=weights)))


def keras_classes(keras: Any) -> Answers:  # noqa: ANN401
    """Losses of class indices."""

    def loss(y: Any, x: Any, **options: Any) -> Any:  # noqa: ANN401
        return keras_loss(keras, "SparseCategoricalCrossentropy", y, x, **options)

    def from_logits(y: Any, x: Any, **options: Any) -> Any:  # noqa: ANN401
        return loss(y, x, from_logits=True, **options)

    z, y = given("logits", np.float32), given("classes")
    s, ignored = given("sample_weights", np.float32), given("some_ignored")
    bad = z.copy()
    bad[1] = NAN
    ends = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
    unscaled = np.array([[2.0, 1.0, 1.0]], np.float32)
    mean = {"reduction": "mean_with_sample_weight"}
    return {
        "sparse": from_logits(y, z),
        "sparse, none": from_logits(y, z, reduction=None),
        "sparse, sum": from_logits(y, z, reduction="sum"),
        "sparse, column of classes": from_logits(y[:, None], z),
        "sparse, from probabilities": loss(y, given("probs", np.float32)),
        "sparse, logits as probabilities": loss(y, np.abs(z)),
        "sparse, ends": loss(np.array([0, 0]), ends, reduction=None),
        "sparse, renormalised": loss(np.array([0]), unscaled),
        "sparse, ignore_class": from_logits(ignored, z, ignore_class=-100),
        "sparse, ignore_class none": from_logits(ignored, z, ignore_class=-100, reduction=None),
        "sparse, NaN ignored": from_logits(ignored, bad, ignore_class=-100),
        "sparse, all ignored": from_logits(ignored * 0 - 100, z, ignore_class=-100),
        "sparse, sample weights": from_logits(y, z, weights=s),
        "sparse, mean_with_sample_weight": from_logits(y, z, weights=s, **mean),
        "sparse, both": from_logits(ignored, z, ignore_class=-100, weights=s),
        "sparse, class 3": from_logits(y + 1, z, reduction=None),
        "sparse, class -1": from_logits(y - 1, z, reduction=None),
        "sparse, class -100": from_logits(ignored, z, reduction=None),
        "sparse, sure": from_logits(np.array([0]), given("sure", np.float32)),
        "sparse, dtype of float64": str(from_logits(y, given("logits")).dtype),
        "sparse, order of the arguments": from_logits(z, y),
        "fit, class_weight": keras_fit(keras, z, y),
    }


def keras_fit(keras: Any, z: Any, y: Any) -> Any:  # noqa: ANN401
    """Give the loss that fit reports with weights for the classes; there is nothing to train."""
    layers = [keras.Input((3,)), keras.layers.Activation("linear")]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="sgd", loss=loss)
    weights = dict(enumerate(INPUTS["class_weights"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = model.fit(z, y, batch_size=len(y), class_weight=weights, verbose=0)
    return history.history["loss"][0]


def keras_categorical(keras: Any) -> Answers:  # noqa: ANN401
    """Losses of probabilities as targets."""

    def loss(y: Any, x: Any, **options: Any) -> Any:  # noqa: ANN401
        return keras_loss(keras, "CategoricalCrossentropy", y, x, **options)

    z, soft, p = (given(name, np.float32) for name in ("logits", "soft", "probs"))
    absent, both = given("absent", np.float32), np.array([[0.5, 0.5, 0.0]], np.float32)
    smooth = {"from_logits": True, "label_smoothing": 0.25}
    return {
        "categorical": loss(soft, z, from_logits=True),
        "categorical, axis 0": loss(soft, z, from_logits=True, axis=0),
        "categorical, one-hot integers": loss(np.eye(3, dtype=int), z, from_logits=True),
        "categorical, from probabilities": loss(soft, p),
        "categorical, smoothing": loss(soft, z, **smooth),
        "categorical, smoothing on axis 0": loss(soft[:2], z[:2], axis=0, **smooth),
        "categorical, target 0 at -inf": loss(both, absent, from_logits=True),
    }


def keras_binary(keras: Any) -> Answers:  # noqa: ANN401
    """Binary losses."""

    def loss(y: Any, x: Any, **options: Any) -> Any:  # noqa: ANN401
        return keras_loss(keras, "BinaryCrossentropy", y, x, **options)

    z, t, p = (given(f"binary_{name}", np.float32) for name in ("logits", "targets", "probs"))
    s = given("binary_weights", np.float32)
    ends, y = (given(n, np.float32)[:4, None] for n in ("ends", "end_targets"))
    two, one = np.array([[2.0]], np.float32), np.array([[1.0]], np.float32)
    infinite, infinite_targets = (
        given(n, np.float32)[:, None] for n in ("infinite", "infinite_targets")
    )
    return {
        "binary": loss(t, z, from_logits=True),
        "binary, none": loss(t, z, from_logits=True, reduction=None),
        "binary, sum": loss(t, z, from_logits=True, reduction="sum"),
        "binary, smoothing": loss(t, z, from_logits=True, label_smoothing=0.25),
        "binary, sample weights": loss(t, z, from_logits=True, weights=s),
        "binary, from probabilities": loss(t, p),
        "binary, ends": loss(y, ends, reduction=None),
        "binary, target 2": loss(two, one, from_logits=True),
        "binary, infinite": loss(infinite_targets, infinite, from_logits=True, reduction=None),
    }


def keras_functions(keras: Any) -> Answers:  # noqa: ANN401
    """Functions on arrays, and metrics."""
    ops, metrics = keras.ops, keras.metrics
    z, y = given("logits", np.float32), given("classes")
    soft, t = given("soft", np.float32), given("binary_targets", np.float32)
    binary = given("binary_logits", np.float32)
    states = [metrics.SparseCategoricalAccuracy(), metrics.SparseTopKCategoricalAccuracy(k=2)]
    for state in states:
        for part in (slice(0, 1), slice(1, 3)):
            state.update_state(y[part], z[part])
    tied, last = np.array([[0.5, 0.5, 0.5, 0.1]], np.float32), np.array([2])
    answers = {
        "k by default": inspect.signature(metrics.sparse_top_k_categorical_accuracy)
        .parameters["k"]
        .default,
        "ops.softmax": ops.softmax(z),
        "ops.log_softmax": ops.log_softmax(z),
        "ops.logsumexp": ops.logsumexp(z),
        "ops.logsumexp, axis": ops.logsumexp(z, axis=-1),
        "ops.sigmoid": ops.sigmoid(z),
        "ops.log_sigmoid": ops.log_sigmoid(z),
        "ops.softplus": ops.softplus(z),
        "ops.top_k": ops.top_k(z, 2)[1],
        "ops.sparse_categorical_crossentropy": ops.sparse_categorical_crossentropy(
            y, z, from_logits=True
        ),
        "ops.categorical_crossentropy": ops.categorical_crossentropy(soft, z, from_logits=True),
        "ops.binary_crossentropy": ops.binary_crossentropy(t, binary, from_logits=True),
        "metrics with a state": ops.stack([state.result() for state in states]),
        "accuracy": metrics.sparse_categorical_accuracy(y, z),
        "top-2 accuracy": metrics.sparse_top_k_categorical_accuracy(y, z, k=2),
        "top-1 accuracy of ties": metrics.sparse_top_k_categorical_accuracy(last, tied, k=1),
    }
    return {name: keras_number(keras, value) for name, value in answers.items()}
