"""Resumable: an estimator that goes on where the same configuration stopped, on the same training set."""

from __future__ import annotations

import os
import tempfile
import threading
import warnings
from contextlib import nullcontext
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle
import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from autohpo.integrations.sklearn.resources import Resource

ROWS = "autohpo_rows"
"""The name under which ``fit`` learns which examples it is given: the same ones are the same fold."""

OWN = frozenset({"estimator", "resource", "models", "trial", "amount"})


class Models:
    """Fitted estimators that may be continued, with how much training they had, by trial and fold.

    They stay in memory where they were trained by a thread of this process. A copy in another process leaves its own in
    a folder; where that is not on the same disk, or a file is gone, a training starts anew.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], tuple[Any, float]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path = ""  # of the folder, once there is a copy elsewhere
        self._is_copy = False

    def __deepcopy__(self, memo: Any) -> Models:
        return self  # what clones an estimator copies its parameters

    def __getstate__(self) -> dict[str, Any]:
        if not self._path:
            self._folder = tempfile.TemporaryDirectory(prefix="autohpo-models-")
            self._path = self._folder.name
        return {"_held": {}, "_folder": None, "_path": self._path, "_is_copy": True}

    def put(self, trial: int, fold: str, model: Any, amount: float) -> None:
        """Hold a fitted estimator.

        Args:
            trial: The first trial of the chain.
            fold: A name of its training set.
            model: The estimator.
            amount: How much training it had.
        """
        if not self._is_copy:
            self._held[trial, fold] = model, amount
        elif Path(self._path).is_dir():
            path = self._file(trial, fold)
            unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            unfinished.write_bytes(cloudpickle.dumps((model, amount)))
            unfinished.replace(path)

    def take(self, trial: int, fold: str) -> tuple[Any, float] | None:
        """Return what is held of a trial and a fold, and let go of it; None where nothing is."""
        held = self._held.pop((trial, fold), None)
        path = self._file(trial, fold)
        if held is not None or not self._path or not path.is_file():
            return held
        found: tuple[Any, float] = cloudpickle.loads(path.read_bytes())
        path.unlink()
        return found

    def keep(self, trials: set[int]) -> None:
        """Let go of all but those of some trials."""
        for key in [key for key in self._held if key[0] not in trials]:
            del self._held[key]
        for path in Path(self._path).glob("*.model") if self._path else ():
            if int(path.name.split("-")[0]) not in trials:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of everything."""
        self._held.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def _file(self, trial: int, fold: str) -> Path:
        return Path(self._path) / f"{trial}-{fold}.model"


class Resumable(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator around the user's, for the folds of a search; where it is fitted without a trial it is the user's.

    Args:
        estimator: The user's estimator, with the parameters of the configuration.
        resource: What there is more of.
        models: Where fitted estimators are held.
        trial: The first trial of the chain; None fits in full, as the user would.
        amount: How much training there is to be, with what was done before.
    """

    __metadata_request__fit: ClassVar[dict[str, bool]] = {ROWS: True}

    def __init__(
        self, estimator: Any, resource: Resource, models: Models, trial: int | None = None, amount: float | None = None
    ) -> None:
        self.estimator, self.resource, self.models, self.trial, self.amount = estimator, resource, models, trial, amount

    def set_params(self, **params: Any) -> Resumable:
        """Set parameters of its own by their names, and those of the user's estimator by theirs."""
        for name in OWN & set(params):
            setattr(self, name, params.pop(name))
        self.estimator.set_params(**params)
        return self

    def set_callbacks(self, *callbacks: Any) -> Resumable:
        """Take the callbacks of the search (scikit-learn 1.9), which ``fit`` hands on to the user's estimator."""
        self._skl_callbacks = list(callbacks)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Return whose metadata goes where: rows to this, all else to the estimator."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        own = MetadataRouter(owner=self).add_self_request(self)
        return own.add(estimator=self.estimator, method_mapping=mapping)

    def fit(self, X: Any, y: Any = None, *, autohpo_rows: Any = None, **params: Any) -> Resumable:
        """Train the estimator, or go on with one that was trained on the same examples.

        Args:
            X: The examples.
            y: The target.
            autohpo_rows: The places of the examples in the whole data set.
            params: Metadata for the estimator.
        """
        from sklearn import get_config

        if get_config()["enable_metadata_routing"]:
            params = process_routing(self, "fit", autohpo_rows=autohpo_rows, **params).estimator.fit
        if self.trial is None:
            self.estimator_ = clone(self.estimator)
            amount = self.resource.high if self.resource.kind == "epochs" else None
            self._train(X, y, params, 0, amount)
            return self
        fold = blake2b(np.ascontiguousarray(autohpo_rows).tobytes(), digest_size=12).hexdigest()
        held = self.models.take(self.trial, fold)
        model, done = held if held is not None else (clone(self.estimator), 0)
        self.estimator_ = model
        self._train(X, y, params, done, self.amount)
        self.models.put(self.trial, fold, model, self.amount or 0)
        return self

    def _train(self, X: Any, y: Any, params: dict[str, Any], done: float, amount: float | None) -> None:
        """Train what has had some training until it has had an amount; None fits as the user would."""
        context = vars(self).get("_parent_callback_ctx")  # where scikit-learn says whose callbacks it has
        with nullcontext() if context is None else context.propagate_callback_context(self.estimator_):
            if amount is None:
                self.estimator_.fit(X, *_given(y), **params)
            elif self.resource.kind == "epochs":
                self._pass_over(X, y, params, int(amount - done), is_first=not done)
            else:
                self._warm_start(X, y, params, amount if self.resource.kind == "total" else amount - done)

    def _pass_over(self, X: Any, y: Any, params: dict[str, Any], n: int, *, is_first: bool) -> None:
        """Make n passes over the examples."""
        classes = {"classes": np.unique(y)} if is_first and is_classifier(self.estimator_) else {}
        for _ in range(n):
            self.estimator_.partial_fit(X, *_given(y), **classes, **params)
            classes = {}

    def _warm_start(self, X: Any, y: Any, params: dict[str, Any], rounds: float) -> None:
        """Go on for some rounds, or to so many, whichever the estimator counts."""
        self.estimator_.set_params(**{self.resource.name: rounds, self.resource.switch: True})
        with warnings.catch_warnings():  # forests say that classes may have changed: here they have not
            warnings.filterwarnings("ignore", message="class_weight presets", category=UserWarning)
            self.estimator_.fit(X, *_given(y), **params)

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.estimator)

    def __getattr__(self, name: str) -> Any:
        inner = vars(self).get("estimator_", vars(self).get("estimator"))
        if name.startswith("_") or inner is None:  # what is private is the own business of each
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(inner, name)


def _given(y: Any) -> tuple[Any, ...]:
    """Return the target as arguments by position: none where there is none."""
    return () if y is None else (y,)
