"""What is trained: linear and neural classifiers of handwritten digits, one epoch at a time."""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

ROLE = Literal["regular", "overwrites", "diverges", "endless"]

SEED: Final = 7
TEST_SHARE: Final = 0.3
ENDLESS_EPOCHS_MAX: Final = 20_000  # it is canceled long before; this bounds it if nobody does
_SGD: Final = [
    {"alpha": alpha, "eta0": eta0}
    for eta0, alpha in itertools.product((0.003, 0.01, 0.03), (1e-5, 1e-4, 1e-3, 1e-2))
]
_MLP: Final = [
    {"hidden": hidden, "lr": lr} for lr, hidden in itertools.product((3e-4, 1e-3, 3e-3, 1e-2), (32, 64, 128))
]


@dataclass(frozen=True)
class Plan:
    """One child of the sweep: a model, its hyper-parameters, and what is special about it."""

    name: str
    model: Literal["sgd", "mlp"]
    params: dict[str, Any]
    epochs: int
    role: ROLE = "regular"


def plans(children: int, epochs: int) -> list[Plan]:
    """``children`` plans that train to their end, one that diverges, one that goes on until it is canceled.

    The special ones come early, so that they run beside others.
    """
    made = [_regular(number, epochs) for number in range(children)]
    made[1] = Plan(made[1].name, made[1].model, made[1].params, epochs, "overwrites")
    diverging = Plan(
        "mlp lr=10000 (diverges)", "mlp", {"hidden": 64, "lr": 1e4, "seed": SEED}, epochs, "diverges"
    )
    endless = Plan(
        "mlp lr=0.001 (endless)",
        "mlp",
        {"hidden": 64, "lr": 1e-3, "seed": SEED},
        ENDLESS_EPOCHS_MAX,
        "endless",
    )
    return [endless, made[0], diverging, *made[1:]]


def _regular(number: int, epochs: int) -> Plan:
    """Both grids in turn; after their end again, with another seed."""
    model: Literal["sgd", "mlp"] = "sgd" if number % 2 == 0 else "mlp"
    grid = _SGD if model == "sgd" else _MLP
    turn, place = divmod(number // 2, len(grid))
    params = {**grid[place], "seed": SEED + turn}
    name = f"{model} " + " ".join(
        f"{key}={value:g}" for key, value in params.items() if key != "seed" or turn
    )
    return Plan(name, model, params, epochs)


@dataclass(frozen=True)
class Data:
    """The digits, scaled to 0…1, split once for all children; ``sha256`` is over the data as they are shipped."""

    train: Any
    train_labels: Any
    test: Any
    test_labels: Any
    sha256: str
    rows: int


def load() -> Data:
    """The data set that scikit-learn brings along: 1,797 images of 8 x 8 pixels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    train, test, train_labels, test_labels = train_test_split(
        images / 16.0, labels, test_size=TEST_SHARE, random_state=SEED, stratify=labels
    )
    return Data(train, train_labels, test, test_labels, digest, len(labels))


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data came to."""

    train_loss: float
    val_loss: float
    val_accuracy: float


def train(plan: Plan, data: Data) -> Iterator[Epoch]:
    """Train epoch by epoch. A model that diverges raises what scikit-learn raises."""
    from sklearn.metrics import log_loss

    model = _model(plan)
    classes = sorted(set(data.train_labels.tolist()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflow on the way to divergence is the point of one child
        for _ in range(plan.epochs):
            model.partial_fit(data.train, data.train_labels, classes=classes)
            guessed = model.predict_proba(data.test)
            yield Epoch(
                train_loss=float(
                    log_loss(data.train_labels, model.predict_proba(data.train), labels=classes)
                ),
                val_loss=float(log_loss(data.test_labels, guessed, labels=classes)),
                val_accuracy=float((guessed.argmax(axis=1) == data.test_labels).mean()),
            )


def _model(plan: Plan) -> Any:
    if plan.model == "sgd":
        from sklearn.linear_model import SGDClassifier

        return SGDClassifier(
            loss="log_loss",
            alpha=plan.params["alpha"],
            learning_rate="constant",
            eta0=plan.params["eta0"],
            random_state=plan.params["seed"],
        )
    from sklearn.neural_network import MLPClassifier

    diverges = plan.role == "diverges"
    return MLPClassifier(
        hidden_layer_sizes=(plan.params["hidden"],),
        learning_rate_init=plan.params["lr"],
        batch_size=64,
        random_state=plan.params["seed"],
        solver="sgd" if diverges else "adam",
        activation="identity" if diverges else "relu",
    )
