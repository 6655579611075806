"""How modules keep their settings: tensors as buffers, parameters as parameters, and those inside a link too."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, as_tensor, nn

from crossentropy.links import Link

__all__ = ["Settings", "text"]


class Settings(nn.Module):
    """A function of batches whose settings are attributes of their names, which may be changed.

    A tensor or NumPy array is a buffer, a parameter is a parameter of the module, and a link or tuple with tensors in
    it is a child module that has them.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _options: tuple[str, ...] = ()  # what may be set
    _settings: tuple[str, ...] = ()  # what is
    _not_shown: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._options:
            return super().__setattr__(name, value)
        if name in self._settings:
            delattr(self, name)  # it may be of another kind
        else:
            self._settings = (*self._settings, name)
        value = _registrable(value)
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            return self.register_buffer(name, value)
        return super().__setattr__(name, value)

    def _current(self) -> dict[str, Any]:
        """The settings as they are now, links whole again."""
        return {name: _whole(getattr(self, name)) for name in self._settings}

    def _called(self, *inputs: Any, **batch: Any) -> Tensor:
        """The function of a batch; what the call gives comes before the settings, None for nothing."""
        given = {name: value for name, value in batch.items() if value is not None}
        return type(self)._function(*inputs, **(self._current() | given))

    def _shown(self) -> str:
        """The settings in a few characters each; PyTorch shows child modules itself."""
        values = ((name, getattr(self, name)) for name in self._settings if name not in self._not_shown)
        return ", ".join(f"{n}={text(x)}" for n, x in values if not isinstance(x, nn.Module))

    def extra_repr(self) -> str:
        return self._shown()


class _Parts(Settings):
    """A link or tuple in parts, which are the settings."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self._kind = type(whole)
        parts = _parts(whole)
        self._options = tuple(parts)
        for name, part in parts.items():
            setattr(self, name, part)

    def whole(self) -> Any:
        """The link or tuple with the tensors as they are now."""
        if self._kind is tuple:
            return tuple(self._current().values())
        link = object.__new__(self._kind)  # not checked again: tensors would have to be read
        link.__dict__.update(self._current())
        return link

    def _get_name(self) -> str:
        return self._kind.__name__


def _registrable(value: Any) -> Any:
    """A setting as a module registers it: an array as a tensor, what has tensors inside as a module."""
    if isinstance(value, np.ndarray):
        return as_tensor(value)
    inside = any(map(_has_tensors, _parts(value).values()))
    return _Parts(value) if inside else value


def _parts(value: Any) -> dict[str, Any]:
    """What a tuple or a link is made of, by name; nothing of anything else."""
    if type(value) is tuple:
        return {str(place): part for place, part in enumerate(value)}
    if isinstance(value, Link) and not isinstance(value, (nn.Module, type)):
        return dict(getattr(value, "__dict__", {}))
    return {}


def _has_tensors(value: Any) -> bool:
    """Whether a value is, or has inside, what a module has to register."""
    return isinstance(value, (Tensor, nn.Module)) or any(map(_has_tensors, _parts(value).values()))


def _whole(value: Any) -> Any:
    """A setting as functions take it."""
    return value.whole() if isinstance(value, _Parts) else value


def text(value: Any) -> str:
    """A setting in a few characters."""
    if isinstance(value, Tensor):
        return f"{value.item():g}" if value.ndim == 0 and not value.is_meta else f"Tensor{tuple(value.shape)}"
    return repr(value)
