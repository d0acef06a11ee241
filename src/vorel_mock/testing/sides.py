"""One description of each operation, for two kinds of caller: those who wait, and those who await.

An operation is written once, as a coroutine. It runs on the loop of the connection, which is in a thread of its own: a
frozen or crowded loop of the host does not hold it up. Of a class that is `Blocking` it is a plain method; of one that
is `Awaiting` it returns an awaitable.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from vorel_mock.testing.connection import Connection, ControlError
from vorel_mock.testing.loop_thread import Stopped, awaited, result

P = ParamSpec("P")
T = TypeVar("T")
Manager = TypeVar("Manager", bound="AwaitingManager")

#: Seconds for which a plain method may keep a running event loop from everything else.
GRACE = 2.0
#: Errors whose message says all: their traceback would be that of the client's own thread.
_TOLD = (AssertionError, ControlError)


class Blocking:
    """Its operations are plain methods."""

    _connection: Connection


class Awaiting:
    """Its operations are awaited."""

    _connection: Connection


class Pending(Coroutine[Any, Any, T]):
    """A result to come: `await` it; or enter it with `async with`, which awaits it first."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._entered: Any = None

    def send(self, value: Any) -> Any:
        """Go on, as the coroutine does."""
        return self._coroutine.send(value)

    def throw(self, *exception: Any) -> Any:
        """Raise in the coroutine."""
        return self._coroutine.throw(*exception)

    def close(self) -> None:
        """End the coroutine."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    async def __aenter__(self: "Pending[Manager]") -> Manager:
        self._entered = await self
        entered: Manager = await self._entered.__aenter__()
        return entered

    async def __aexit__(self, *exception: Any) -> None:
        await self._entered.__aexit__(*exception)


class operation(Generic[P, T]):  # noqa: N801 - used as property is
    """A decorator: makes a coroutine function an operation of both kinds of class."""

    waits = False
    """True if it waits for something to happen that may have to happen on the caller's event loop."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: Blocking, owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Awaiting, owner: Any = None) -> Callable[P, Pending[T]]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the method of `instance`."""
        if instance is None:
            return self
        call = _wait if isinstance(instance, Blocking) else _await

        def method(*arguments: P.args, **named: P.kwargs) -> Any:
            __tracebackhide__ = True  # pytest shows the line of the test
            start = partial(self._function, instance, *arguments, **named)
            return call(instance._connection, start, waits=self.waits)

        return update_wrapper(method, self._function)


class waiting(operation[P, T]):  # noqa: N801
    """An operation that waits for something to happen."""

    waits = True


class fetched(Generic[T]):  # noqa: N801
    """The same for a value: a property, or an awaitable."""

    def __init__(self, function: Callable[[Any], Coroutine[Any, Any, T]]) -> None:
        self._operation = operation(function)
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: Blocking, owner: Any = None) -> T: ...
    @overload
    def __get__(self, instance: Awaiting, owner: Any = None) -> Pending[T]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the value."""
        return self if instance is None else self._operation.__get__(instance)()


class BlockingManager(Blocking):
    """For `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _wait(self._connection, self._leave, waits=False)

    async def _leave(self) -> None:
        raise NotImplementedError


class AwaitingManager(Awaiting):
    """For `async with`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _await(self._connection, self._leave)

    async def _leave(self) -> None:
        raise NotImplementedError


def _wait(connection: Connection, start: Callable[[], Coroutine[Any, Any, T]], *, waits: bool) -> T:
    seconds = GRACE if waits and _runs_a_loop() else None
    future = connection.loop.submit(start())
    __tracebackhide__ = True
    try:
        return result(future, seconds)
    except _TOLD as error:
        raise error.with_traceback(None) from None
    except Stopped:
        raise _closed() from None
    except TimeoutError:
        if not future.cancelled():
            raise  # the operation's own
    raise RuntimeError(
        f"the event loop of this thread has stood still for {seconds:g} s, and may be what this "
        "call waits for. On a running loop use the fixture `avorel`, or `asynchronous`, and `await` the call"
    )


def _await(connection: Connection, start: Callable[[], Coroutine[Any, Any, T]], *, waits: bool = False) -> Pending[T]:
    async def called() -> T:
        __tracebackhide__ = True
        try:
            return await awaited(connection.loop.submit(start()))
        except _TOLD as error:
            raise error.with_traceback(None) from None
        except Stopped:
            raise _closed() from None

    return Pending(called())


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _closed() -> ControlError:
    return ControlError(None, "unreachable", "the client was closed before the response was there")
