"""Storage of a module's settings: tensors as buffers, parameters as parameters, also those inside a link."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, as_tensor, nn

from crossentropy.links import Link


class Settings(nn.Module):
    """A module of a function of batches, whose settings are attributes that may be changed.

    A tensor or NumPy array becomes a buffer, a parameter a parameter of the module, and a link or tuple that contains
    tensors a child module that holds them.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _options: tuple[str, ...] = ()  # names that may be set
    _settings: tuple[str, ...] = ()  # names that are set
    _not_shown: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._options:
            return super().__setattr__(name, value)
        if name in self._settings:
            delattr(self, name)  # a buffer may become a parameter or a plain value, or the reverse
        else:
            self._settings = (*self._settings, name)
        value = _registrable(value)
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            return self.register_buffer(name, value)
        return super().__setattr__(name, value)

    def _current(self) -> dict[str, Any]:
        """Return the settings as they are now, with links and tuples put together."""
        return {name: _whole(getattr(self, name)) for name in self._settings}

    def _called(self, *inputs: Any, **batch: Any) -> Tensor:
        """Call the function on a batch; keywords of the call that are not None override the settings."""
        overrides = {name: value for name, value in batch.items() if value is not None}
        # Not `|`, which Dynamo of PyTorch 2.6 does not trace.
        return type(self)._function(*inputs, **{**self._current(), **overrides})

    def _shown(self) -> str:
        """Write the settings in a few characters each; PyTorch shows child modules itself."""
        values = ((name, getattr(self, name)) for name in self._settings if name not in self._not_shown)
        return ", ".join(f"{n}={text(x)}" for n, x in values if not isinstance(x, nn.Module))

    def extra_repr(self) -> str:
        return self._shown()


class _Parts(Settings):
    """A child module that holds the parts of a link or tuple as settings."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self._kind = type(whole)
        parts = _parts(whole)
        self._options = tuple(parts)
        for name, part in parts.items():
            setattr(self, name, part)

    def whole(self) -> Any:
        """Put the link or tuple together with its tensors as they are now."""
        if self._kind is tuple:
            return tuple(self._current().values())
        link = object.__new__(self._kind)  # without __post_init__, whose checks would read tensors
        link.__dict__.update(self._current())
        return link

    def _get_name(self) -> str:
        return self._kind.__name__


def _registrable(value: Any) -> Any:
    """Convert a setting for registration: an array to a tensor, a value with tensors inside to a child module."""
    if isinstance(value, np.ndarray):
        return as_tensor(value)
    inside = any(map(_has_tensors, _parts(value).values()))
    return _Parts(value) if inside else value


def _parts(value: Any) -> dict[str, Any]:
    """Return the parts of a tuple or a link by name; none for any other value."""
    if type(value) is tuple:
        return {str(place): part for place, part in enumerate(value)}
    if isinstance(value, Link) and not isinstance(value, (nn.Module, type)):
        return dict(getattr(value, "__dict__", {}))
    return {}


def _has_tensors(value: Any) -> bool:
    """Tell whether a value is a tensor or a module, or contains one."""
    return isinstance(value, (Tensor, nn.Module)) or any(map(_has_tensors, _parts(value).values()))


def _whole(value: Any) -> Any:
    """Convert a setting back to the form that functions take."""
    return value.whole() if isinstance(value, _Parts) else value


def text(value: Any) -> str:
    """Write a setting in a few characters."""
    if isinstance(value, Tensor):
        return f"{value.item():g}" if value.ndim == 0 and not value.is_meta else f"Tensor{tuple(value.shape)}"
    return repr(value)
