"""What a hub takes from the application: models, tools and connectors written in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from . import _native
    from ._host import DeliverFunction, ModelFunction, ProbeFunction
    from ._tools import ToolEffect, ToolProbe, ToolSink

__all__ = ["HostParts", "running_loop"]


class HostParts:
    """Adding and taking away. An ``async def`` runs in the event loop that was running when it was added to an
    :class:`AsyncHub`, else in one of its own thread."""

    __slots__ = ()

    def _native(self) -> _native.Hub:
        raise NotImplementedError

    def _loop(self) -> asyncio.AbstractEventLoop | None:
        raise NotImplementedError

    def add_model(
        self,
        complete: ModelFunction,
        *,
        provider: str,
        model: str | None = None,
        json_schema: bool = False,
        context_tokens: int | None = None,
        max_output_tokens: int | None = None,
    ) -> None:
        """Adds a model written in Python; it answers from now on.

        Args:
            complete: ``def`` or ``async def``; gets a :class:`ModelRequest`, answers text or a :class:`ModelAnswer`.
            provider: A word for it, kept with everything it writes.
            model: The model's own name.
            json_schema: True when it answers in JSON of a given schema.
            context_tokens: Tokens of input and output together.
            max_output_tokens: Most tokens of one answer.
        """
        settings = _model(provider, model, json_schema, context_tokens, max_output_tokens)
        self._native().add_model(settings, _asked(complete), self._loop())

    def add_tool(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        doc: str | None = None,
        effect: ToolEffect = "write",
        needs: Sequence[str] = (),
        input_schema: Any = None,
        output_schema: Any = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        rate: tuple[int, float] | None = None,
        approval: bool = False,
        sinks: Sequence[ToolSink] = (),
        probe: ToolProbe | None = None,
        replace: bool = False,
    ) -> None:
        """Adds a tool written in Python; agents and ``tools.call`` see it from now on.

        Args:
            function: ``def`` or ``async def``. Its parameters are the arguments, by name; one of type
                :class:`ToolCall` gets who calls instead. Types make the schema: plain ones, ``list``, ``dict``,
                unions, ``Literal``, enums, ``TypedDict``, dataclasses and pydantic models.
            name: ``a-z``, digits, underscore and dot. Default: that of the function.
            doc: What it does and when to use it. Default: its docstring; ``Args:`` describes the arguments.
            effect: What it does to the world. ``pure`` and ``read`` may be called again; ``write`` never is.
            needs: Permissions that a caller needs, such as ``read:people``.
            input_schema: JSON Schema of the arguments, a dataclass or a pydantic model, in the place of the hints.
            output_schema: The same of the answer; an answer that does not fit is an error.
            timeout: Seconds a call may take. Default: 30.
            concurrency: Most calls at the same time.
            rate: So many calls in so many seconds, over all processes; one more is a ``RateLimitedError``.
            approval: True when an agent needs a person's yes for each call, whatever the effect.
            sinks: What a call lets out or keeps for good: an agent that had read foreign words needs a person's yes. Default:
                nothing, or anything where it acts on the world.
            probe: Says what became of a call of a run whose answer was lost, by :class:`Landed`, ``False`` or ``None``.
                Without one, or when it cannot tell, a person is asked.
            replace: Takes the place of a tool of this name, as a notebook cell that runs again does.

        An exception becomes an error of the tool with its type and words; a ``NeonHubError`` keeps its kind.
        """
        from ._tools import probe_call, tool_settings

        settings, call = tool_settings(
            function,
            name=name,
            doc=doc,
            effect=effect,
            needs=tuple(needs),
            input_schema=input_schema,
            output_schema=output_schema,
            timeout=timeout,
            concurrency=concurrency,
            rate=rate,
            approval=approval,
            sinks=tuple(sinks),
        )
        self._native().add_tool(settings, call, probe_call(probe), replace, self._loop())

    def remove_tool(self, name: str) -> bool:
        """Takes a tool away. False when there was none of this name."""
        return self._native().remove_tool(name)

    def add_connector(
        self,
        deliver: DeliverFunction,
        *,
        name: str,
        channels: Sequence[str],
        probe: ProbeFunction | None = None,
    ) -> None:
        """Adds a connector written in Python; it takes over the channels it names.

        It only ever gets messages that the send gate has cleared. An exception that is no ``NeonHubError`` counts as
        "may have been sent": the message is not sent again until ``probe`` or a person says what became of it.

        Args:
            deliver: ``def`` or ``async def``; hands the :class:`OutgoingMessage` to a service, answers its id.
            name: Short name, ``snake_case``.
            channels: Channels such as ``email`` or ``sms``.
            probe: Says whether a delivery landed.
        """
        settings = {"name": name, "channels": list(channels)}
        self._native().add_connector(settings, _message(deliver), _probe(probe), self._loop())


def running_loop() -> asyncio.AbstractEventLoop | None:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _model(
    provider: str,
    model: str | None,
    json_schema: bool,
    context_tokens: int | None,
    max_output_tokens: int | None,
) -> dict[str, Any]:
    return {
        "provider": provider,
        "model": model,
        "json_schema": json_schema,
        "context_tokens": context_tokens,
        "max_output_tokens": max_output_tokens,
    }


def _asked(complete: ModelFunction) -> Callable[[Any], Any]:
    from ._host import ModelRequest

    return lambda raw: complete(ModelRequest(raw))


def _message(deliver: DeliverFunction) -> Callable[[Any], Any]:
    from ._host import OutgoingMessage

    return lambda raw: deliver(OutgoingMessage(raw))


def _probe(probe: ProbeFunction | None) -> Callable[[Any], Any] | None:
    if probe is None:
        return None
    return lambda raw: probe(raw["effect"], raw["channel"])
