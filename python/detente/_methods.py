# SPDX-License-Identifier: Apache-2.0
"""The table of methods, and methods written in Python."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List, Optional, Sequence, Set, Tuple, Type, Union

import numpy as np

from . import _core


@dataclass(frozen=True)
class MethodOption:
    """An option of a method: its default and its rule as text, as recipes have them."""

    name: str
    type: str
    default: str
    rule: str
    doc: str


@dataclass(frozen=True)
class MethodInfo:
    """What is known of a method. `needs`: "L" the losses, "G" the gradients' inner products, "G+L" both,
    "X" those of two batches, "J" the gradients themselves. `laws`: what its tests check."""

    name: str
    title: str
    summary: str
    when: str
    paper: str
    needs: str
    stateful: bool
    laws: Tuple[str, ...]
    options: Tuple[MethodOption, ...]


@functools.lru_cache(maxsize=None)
def table() -> Dict[str, MethodInfo]:
    """Every method by its name. Made once: it takes a millisecond, and steps ask it."""
    return {
        info["name"]: MethodInfo(
            **{
                **info,
                "laws": tuple(info["laws"]),
                "options": tuple(MethodOption(**option) for option in info["options"]),
            }
        )
        for info in _core.methods()
    }


def methods() -> List[MethodInfo]:
    """Every method there is, in the order of the documentation; those written in Python are not among
    them."""
    return list(table().values())


class Method:
    """A method written in Python. A subclass has a `name`, under which it can be used at once, and `weights`:

        class Inverse(detente.Method):
            name = "inverse"
            def weights(self, gram, losses):
                return 1 / np.sqrt(np.diag(gram))

    An instance may be used in place of a name and then keeps its state between steps."""

    name: ClassVar[str] = ""
    uses_losses: ClassVar[bool] = False

    registered: ClassVar[Dict[str, Type["Method"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.name:
            return
        if cls.name in table():
            raise ValueError(f"there is a method '{cls.name}' already; expected another name")
        Method.registered[cls.name] = cls

    def weights(self, gram: np.ndarray, losses: Optional[np.ndarray]) -> Union[np.ndarray, Sequence[float]]:
        """One weight per task that takes part in this step. `gram` (k × k, float64): the inner products of
        the tasks' gradients. `losses` (k): only where the class sets `uses_losses`, else None."""
        raise NotImplementedError(f"{type(self).__name__} has no weights(self, gram, losses)")


def option_text(value: Any) -> str:
    """An option as recipes spell it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(option_text(v) for v in value) + "]"
    return repr(value) if isinstance(value, float) else str(value)


def option_names(method: Union[str, Method]) -> Set[str]:
    """Options of a method of the table; of one written in Python none are known."""
    info = table().get(method) if isinstance(method, str) else None
    return {option.name.split(".")[0] for option in info.options} if info else set()


def make_method(method: Union[str, Method], options: Dict[str, Any]) -> "_core.Method":
    """The core's object for a name with options or for an instance of Method."""
    if isinstance(method, type) and issubclass(method, Method):
        raise TypeError(
            f"method is the class {method.__name__}; expected an instance: {method.__name__}(...)"
        )
    if isinstance(method, str) and method in Method.registered:
        method = Method.registered[method](**options)
        options = {}
    if isinstance(method, Method):
        if options:
            raise ValueError(
                f"options {sorted(options)} beside an instance of {type(method).__name__}; give them to it"
            )
        return _core.python_method(method, method.name or type(method).__name__, method.uses_losses)
    if not isinstance(method, str):
        raise TypeError(
            f"method is a {type(method).__name__}; expected a name or an instance of detente.Method"
        )
    return _core.make_method(method, [(name, option_text(value)) for name, value in options.items()])
