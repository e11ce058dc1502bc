"""A pretended accelerator: what trains on it would train on a GPU, as far as placement, waits and endings go.

    with Accelerator() as gpu:                    # DEVICE stands wherever "cuda" would
        list(Training(spec, prepared, device=DEVICE))
    gpu.launches, gpu.waits, gpu.peak_bytes

A tensor on the device keeps its numbers in a CPU tensor that nobody else sees, so results are the CPU's, bit
for bit. What CUDA refuses is refused: operands of two devices, but for a CPU number in an elementwise
operation. What CUDA counts is counted: kernels that are launched, bytes that are held, and each time that the
host waits for the device, with the line of ours that made it wait. `fail` has a launch raise what CUDA would.

Arithmetic, speed and the choices of cuBLAS are not a GPU's: `./run bench device` looks at those, on a GPU.

torch cannot unregister a backend, nor make views of such tensors that were made in inference mode. So this is
imported before `models`, in a process of its own: `tests/device` holds the tests, `tests/test_device.py` runs
that process.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretended"
DEVICE = f"{NAME}:0"

_ROOMS = ("/models/", "/worker/")
_GRAIN_BYTES = 512
"""CUDA's allocator hands out multiples of these."""
_NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view"}
_LOOKS_AT_VALUES = {
    "bincount": 2,
    "nonzero": 1,
    "masked_select": 1,
    "_unique2": 1,
    "equal": 1,
    "_linalg_eigh": 1,
}
"""Operations whose CUDA kernels read something back before they return, and how often."""

if "models.stacks" in sys.modules:
    raise ImportError("the pretended device must be there before the models are imported")
_setup_privateuseone_for_python_backend(NAME)
torch.inference_mode = lambda mode=True: torch.no_grad() if mode else contextlib.nullcontext()  # type: ignore
_tensor_here = torch.tensor


def out_of_memory() -> BaseException:
    """What a launch raises that finds no room; the context lives on."""
    return torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 8.00 GiB in all."
    )


def lost_context() -> BaseException:
    """What every operation raises once one of them has read where it must not: for `fail(…, lost=True)`."""
    return torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


class OnDevice(Tensor):
    """A tensor that says it is on the device; `held` are its numbers."""

    held: Tensor
    memory: _Memory

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        own = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(DEVICE),
        )
        own.hold(held)
        return own  # type: ignore[no-any-return]

    def hold(self, held: Tensor) -> None:
        self.held, self.memory = held, Accelerator.running().memory_of(held)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What torch does in C++ without asking the device."""
        if func in _UNASKED and (done := _UNASKED[func](func, args)) is not NotImplemented:
            return done
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{func} was asked of the pretended device where none is running")


def _tensor(data: Any, *, device: Any = None, **more: Any) -> Tensor:
    """`torch.tensor`, which copies to a device without telling anybody."""
    if not _is_there(device):
        return _tensor_here(data, device=device, **more)
    gpu = Accelerator.running()
    gpu.launch("tensor")
    gpu.wait("tensor")
    return OnDevice(_tensor_here(data, **more))


torch.tensor = _tensor


def _listed(_: Any, args: Sequence[Any]) -> Any:
    Accelerator.running().wait("tolist")
    return args[0].held.tolist()


def _decomposed(func: Any, args: Sequence[Any]) -> Any:
    """Where a mode is entered torch works out the vectors too, by other steps, which round otherwise."""
    gpu = Accelerator.running()
    gpu.launch("eigvalsh")
    gpu.wait("eigvalsh")
    with _disable_current_modes():
        return OnDevice(func(args[0].held))


def _refused(_: Any, args: Sequence[Any]) -> Any:
    raise TypeError(f"can't convert {DEVICE} device type tensor to numpy")


def _replaced(_: Any, args: Sequence[Any]) -> Any:
    args[0].hold(args[1].held)
    return NotImplemented


_UNASKED: dict[Any, Callable[[Any, Sequence[Any]], Any]] = {
    Tensor.tolist: _listed,
    Tensor.new_tensor: lambda _, args: _tensor(args[1], dtype=args[0].dtype, device=DEVICE),
    Tensor.data_ptr: lambda _, args: args[0].held.data_ptr(),
    torch.linalg.eigvalsh: _decomposed,
    Tensor.numpy: _refused,
    Tensor.data.__set__: _replaced,  # type: ignore[attr-defined]
}
"""What is done instead of each, or before it where that returns NotImplemented."""


class _Memory:
    """What one piece of the device's memory takes, until nobody holds it."""

    def __init__(self, gpu: Accelerator, count: int) -> None:
        self._gpu, self._bytes = gpu, -(-count // _GRAIN_BYTES) * _GRAIN_BYTES
        gpu.live_bytes += self._bytes
        gpu.peak_bytes = max(gpu.peak_bytes, gpu.live_bytes)

    def __del__(self) -> None:
        self._gpu.live_bytes -= self._bytes


class Accelerator(TorchDispatchMode):
    """The device, which is there while it is entered; another one knows nothing of what became of it."""

    _entered: ClassVar[list[Accelerator]] = []

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        """Operation → how often it was launched: a kernel each, or several."""
        self.waits: Counter[str] = Counter()
        """`models/stacks.py:200 tolist` → how often the host waited there."""
        self.live_bytes = 0
        self.peak_bytes = 0
        self._memories: WeakValueDictionary[int, _Memory] = WeakValueDictionary()
        self._failure: tuple[int, BaseException, bool] | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else every process loads torch's compiler, which takes two seconds and finds nothing to do."""
        return False

    @classmethod
    def running(cls) -> Accelerator:
        if not cls._entered:
            raise RuntimeError("the pretended device is not running")
        return cls._entered[-1]

    def __enter__(self) -> Accelerator:
        self._entered.append(self)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.remove(self)
        super().__exit__(*error)

    # ── what a test asks ────────────────────────────────────────────────────────────────────────────────────

    def fail(self, error: BaseException, *, launch: int = 1, lost: bool = False) -> None:
        """Have the n-th launch from now on raise; `lost`: and whatever is asked of the device after it."""
        self._failure = (launch, error, lost)

    def counted(self, work: Callable[[], object]) -> tuple[int, Counter[str]]:
        """Launches and waits, by their lines, of some work."""
        launches, waits = sum(self.launches.values()), self.waits.copy()
        work()
        return sum(self.launches.values()) - launches, self.waits - waits

    def memory_of(self, held: Tensor) -> _Memory:
        storage = held.untyped_storage()
        if (known := self._memories.get(storage._cdata)) is None:
            known = self._memories[storage._cdata] = _Memory(self, storage.nbytes())
        return known

    # ── what happens there ──────────────────────────────────────────────────────────────────────────────────

    def launch(self, what: str) -> None:
        self._fail_if_due(counts=True)
        self.launches[what] += 1

    def wait(self, what: str) -> None:
        """The host waits; where a context is lost, it learns of that."""
        self._fail_if_due(counts=False)
        frame = sys._getframe()
        while frame.f_back and not any(room in frame.f_code.co_filename for room in _ROOMS):
            frame = frame.f_back
        place = "/".join(frame.f_code.co_filename.rsplit("/", 2)[1:])
        self.waits[f"{place}:{frame.f_lineno} {what}"] += 1

    def _fail_if_due(self, *, counts: bool) -> None:
        if self._failure is None:
            return
        left, error, lost = self._failure
        left -= counts and left > 0
        self._failure = None if left <= 0 and not lost else (left, error, lost)
        if left <= 0:
            raise error

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        tensors = _tensors_in(args)
        if named:
            tensors += _tensors_in(named.values())
        known = {id(each.held): each for each in tensors if isinstance(each, OnDevice)}
        if not known and not _is_there(named.get("device")):
            return func(*args, **named)
        operation = _operation(func)
        if operation.is_composite:
            with self:
                parts = func.decompose(*args, **named)
            if parts is not NotImplemented:
                return parts
        if operation.name == "_to_copy":
            return self._copy(func, args[0], named)
        if len(known) < len(tensors):
            self._refuse_strangers(func, operation.name, tensors, args)
        if "device" in named:
            named["device"] = torch.device("cpu")
        self._count(operation, tensors)
        found = func(*_each(_held, args), **{key: _each(_held, value) for key, value in named.items()})
        if operation.name == "_local_scalar_dense":
            return found
        return _there(found, known) if isinstance(found, Tensor) else _each(lambda e: _there(e, known), found)

    def _copy(self, func: Any, tensor: Tensor, named: dict[str, Any]) -> Tensor:
        """To the device, from it, or within."""
        comes = isinstance(tensor, OnDevice)
        ends_there = comes if named.get("device") is None else _is_there(named["device"])
        self.launch("_to_copy")
        if comes != ends_there:
            self.wait("copy to the device" if ends_there else "copy from the device")
        found = func(_held(tensor), **{**named, "device": torch.device("cpu")})
        return OnDevice(found) if ends_there else found

    def _count(self, operation: _Operation, tensors: Sequence[Tensor]) -> None:
        name = operation.name
        if name == "_local_scalar_dense":
            self.wait("item")
        elif name == "copy_" and any(not isinstance(each, OnDevice) for each in tensors):
            self.launch(name)
            self.wait("copy_")
        elif operation.is_kernel:
            self.launch(name)
        else:
            self._fail_if_due(counts=False)
        for _ in range(operation.looks_at_values):
            self.wait(name)
        for each in tensors[1:] if name in ("index", "index_put_") else ():
            if not isinstance(each, OnDevice):
                self.wait("indices")

    def _refuse_strangers(self, func: Any, name: str, tensors: Sequence[Tensor], args: Sequence[Any]) -> None:
        """As CUDA does, in its words."""
        if name in ("copy_", "index", "index_put_") and (name == "copy_" or isinstance(args[0], OnDevice)):
            return
        for each in tensors:
            number = each.dim() == 0 and torch.Tag.pointwise in func.tags and each is not args[0]
            if not isinstance(each, OnDevice) and not (number or name == "fill_"):
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two devices, "
                    f"{DEVICE} and cpu! ({func})"
                )


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


class _Operation(NamedTuple):
    """What is to be known of an operation of torch's."""

    name: str
    is_composite: bool
    """Whether it is made of other operations, wherever it is computed."""
    is_kernel: bool
    """Whether something is launched for it: not for views and for memory that nobody writes to."""
    looks_at_values: int


@cache
def _operation(func: Any) -> _Operation:
    name = func._schema.name.removeprefix("aten::")
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    return _Operation(
        name, composite, not _is_view(func) and name not in _NO_KERNEL, _LOOKS_AT_VALUES.get(name, 0)
    )


def _is_view(func: Any) -> bool:
    """Whether it hands out memory that it was given, and writes nothing."""
    returned = [each.alias_info for each in func._schema.returns]
    return any(each is not None and not each.is_write for each in returned)


def _tensors_in(arguments: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for each in arguments:
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, list | tuple):
            found += _tensors_in(each)
    return found


def _each(change: Callable[[Tensor], Any], value: Any) -> Any:
    """The same with every tensor changed, in lists as well."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)([_each(change, each) for each in value]) if type(value) in (list, tuple) else value


def _held(each: Tensor) -> Tensor:
    return each.held if isinstance(each, OnDevice) else each


def _there(each: Tensor, known: Mapping[int, OnDevice]) -> Tensor:
    """The operand itself where it was written to; its shape must be what it was."""
    if (own := known.get(id(each))) is None:
        return OnDevice(each)
    if own.shape != each.shape or own.stride() != each.stride():
        raise RuntimeError("the pretended device cannot change the shape of a tensor in place")
    return own
