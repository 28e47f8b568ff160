"""Tools written in Python."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import neonhub
import pytest
from neonhub import ToolCall, models
from neonhub._schema import schema_of
from neonhub.errors import (
    AlreadyExistsError,
    ConfigError,
    CorruptedError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    TimeoutError,
)
from neonhub.testing import ScriptedModel


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Article:
    sku: str
    size: Size = Size.SMALL
    tags: list[str] = field(default_factory=lambda: [])


class Range(TypedDict, total=False):
    low: float
    high: float


def stock(sku: str, most: int = 10, *, size: Size | None = None) -> dict[str, Any]:
    """How many of an article are there.

    Args:
        sku: Number of the article,
            as printed on it.
        most: The largest answer.
    """
    return {"sku": sku, "most": most, "size": size.name if size else None}


def test_a_function_is_a_tool_with_the_schema_of_its_hints(hub: neonhub.Hub) -> None:
    hub.add_tool(stock, name="shop.stock", effect="read")
    info = hub.tools.describe(name="shop.stock")
    assert info.doc.startswith("How many of an article are there.")
    assert (info.source, info.effect) == ("host", "read")
    schema = info.input_schema
    assert schema["required"] == ["sku"]
    assert schema["properties"]["sku"]["description"] == "Number of the article, as printed on it."
    assert schema["properties"]["most"] == {"type": "integer", "default": 10, "description": "The largest answer."}
    answer = hub.tools.call(name="shop.stock", args={"sku": "T-1", "size": "l"})
    assert answer.output == {"sku": "T-1", "most": 10, "size": "LARGE"}
    with pytest.raises(InvalidInputError) as caught:
        hub.tools.call(name="shop.stock", args={"most": "many", "extra": 1})
    assert {fault.field for fault in caught.value.faults} == {"sku", "most", "extra"}
    assert "shop.stock" in [line.name for line in hub.tools.list(source="host")]


async def test_an_async_function_runs_in_the_loop_of_the_caller(ahub: neonhub.AsyncHub) -> None:
    here = asyncio.get_running_loop()

    async def who(call: ToolCall, loud: bool) -> str:
        """Tells who calls."""
        assert asyncio.get_running_loop() is here
        await asyncio.sleep(0)
        return call.principal.upper() if loud else call.principal

    ahub.add_tool(who)
    assert (await ahub.tools.describe(name="who")).input_schema["required"] == ["loud"]
    assert (await ahub.tools.call(name="who", args={"loud": True})).output == "USER:OWNER"


def test_a_dataclass_stands_for_all_arguments(hub: neonhub.Hub) -> None:
    def price(article: Article) -> Article:
        """Finds an article."""
        assert isinstance(article, Article) and isinstance(article.size, Size)
        return Article(article.sku, Size.LARGE, [*article.tags, "found"])

    hub.add_tool(price, output_schema=Article)
    answer = hub.tools.call(name="price", args={"sku": "T-1", "size": "s", "tags": ["a"]})
    assert answer.output == {"sku": "T-1", "size": "l", "tags": ["a", "found"]}


def test_a_pydantic_model_gives_its_own_schema(hub: neonhub.Hub) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        sku: str = pydantic.Field(min_length=2)
        count: int = pydantic.Field(default=1, ge=1, le=9)

    def place(order: Order) -> Order:
        """Places an order."""
        assert isinstance(order, Order)
        return order

    hub.add_tool(place, effect="idempotent")
    assert hub.tools.call(name="place", args={"sku": "T-1"}).output == {"sku": "T-1", "count": 1}
    with pytest.raises(InvalidInputError) as caught:
        hub.tools.call(name="place", args={"sku": "T", "count": 10})
    assert {fault.field for fault in caught.value.faults} == {"sku", "count"}


def test_a_schema_of_ones_own_comes_first(hub: neonhub.Hub) -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string", "maxLength": 3}}}
    def raw(given: Any) -> Any:
        return given

    hub.add_tool(raw, name="raw", doc="Gives back.", input_schema=schema)
    assert hub.tools.call(name="raw", args={"q": "tea"}).output == {"q": "tea"}
    with pytest.raises(InvalidInputError):
        hub.tools.call(name="raw", args={"q": "coffee"})


def test_schemas_of_hints() -> None:
    cases: list[tuple[Any, dict[str, Any]]] = [
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Annotated[bool, "whether"], {"type": "boolean", "description": "whether"}),
        (Size, {"enum": ["s", "l"]}),
        (Any, {}),
    ]
    for hint, expected in cases:
        assert schema_of(hint) == expected
    assert schema_of(Range)["properties"] == {"low": {"type": "number"}, "high": {"type": "number"}}
    pair = schema_of(tuple[int, str])
    assert (pair["minItems"], pair["maxItems"]) == (2, 2)
    with pytest.raises(TypeError, match="give a schema"):
        schema_of(object)


def test_what_a_tool_raises(hub: neonhub.Hub) -> None:
    def broken(how: str) -> str:
        """Breaks."""
        if how == "ours":
            raise RateLimitedError("later", retry_after=2.0)
        raise ValueError("no such article")

    hub.add_tool(broken, name="reads", effect="read")
    hub.add_tool(broken, name="writes")
    with pytest.raises(InternalError, match="raised ValueError: no such article") as caught:
        hub.tools.call(name="reads", args={"how": "x"})
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(OutcomeUnknownError):
        hub.tools.call(name="writes", args={"how": "x"})
    with pytest.raises(RateLimitedError) as limited:
        hub.tools.call(name="writes", args={"how": "ours"})
    assert limited.value.retry_after == 2.0


def test_what_a_tool_answers_is_checked(hub: neonhub.Hub) -> None:
    hub.add_tool(lambda: object(), name="odd", doc="Answers nonsense.", effect="read")
    with pytest.raises(CorruptedError):
        hub.tools.call(name="odd")
    hub.add_tool(lambda: "x", name="typed", doc="Answers text.", effect="read", output_schema={"type": "integer"})
    with pytest.raises(CorruptedError, match="does not fit its schema") as caught:
        hub.tools.call(name="typed")
    assert caught.value.code == "tool_answer"
    hub.add_tool(lambda: "ä" * 100_000, name="long", doc="Answers much.", effect="read")
    spilled = hub.tools.call(name="long").spilled
    assert spilled is not None
    piece = hub.tools.read_result(handle=spilled.handle, offset=100, limit=1000)
    assert piece.size_bytes == 200_002
    assert set(piece.text) == {"ä"}


def test_names_are_taken_once(hub: neonhub.Hub) -> None:
    hub.add_tool(stock)
    with pytest.raises(AlreadyExistsError):
        hub.add_tool(stock)
    hub.add_tool(stock, replace=True)
    with pytest.raises(AlreadyExistsError):
        hub.add_tool(stock, name="scope.whoami", replace=True)
    assert hub.remove_tool("stock") and not hub.remove_tool("stock")
    with pytest.raises(NotFoundError) as caught:
        hub.tools.call(name="stock", args={"sku": "x"})
    assert caught.value.code == "unknown_tool"
    with pytest.raises(InvalidInputError) as refused:
        hub.add_tool(lambda: 1)
    assert {fault.field for fault in refused.value.faults} >= {"doc"}


def test_rights_count(hub: neonhub.Hub) -> None:
    hub.add_tool(stock, needs=["read:people"])
    assert hub.tools.describe(name="stock").needs == ["read:people"]
    with pytest.raises(InvalidInputError) as caught:
        hub.add_tool(stock, name="other", needs=["read:everything"])
    assert caught.value.faults[0].field == "needs[0]"


def test_rights_of_the_host_are_declared_at_open_and_carried_by_keys() -> None:
    refund = "app:orders.refund"
    with neonhub.open(permissions={refund: "Pay an order back."}) as hub:
        hub.add_tool(stock, needs=[refund])
        assert hub.tools.describe(name="stock").needs == [refund]
        assert hub.api_keys.create(name="desk", permissions=[refund]).key.permissions == [refund]
        with pytest.raises(InvalidInputError) as caught:
            hub.api_keys.create(name="till", permissions=["app:orders.ship"])
        assert caught.value.faults[0].field.startswith("permissions")
    with pytest.raises(ConfigError, match="app:"):
        neonhub.open(permissions={"orders.refund": "Pay an order back."})


async def test_a_tool_that_hangs_is_cancelled_at_its_time(ahub: neonhub.AsyncHub) -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        """Hangs."""
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    ahub.add_tool(hang, name="reads", effect="read", timeout=0.05)
    ahub.add_tool(hang, name="writes", timeout=0.05)
    with pytest.raises(TimeoutError):
        await ahub.tools.call(name="reads")
    await asyncio.wait_for(ended.wait(), 2)
    with pytest.raises(OutcomeUnknownError) as caught:
        await ahub.tools.call(name="writes")
    assert caught.value.code == "tool_timeout"


def test_a_tool_says_itself_what_became_of_a_lost_call(hub: neonhub.Hub) -> None:
    spec = models.AgentSpec(
        name="till",
        version="1.0.0",
        title="Till",
        purpose="Pays.",
        intents=[models.IntentSpec(name="work", doc="Pays.", effect_max="write")],
        instructions=models.Prompt(name="till", version=1, template="You pay."),
        tools=["shop.pay"],
        owner="ada",
    )
    scope = models.PolicyScope(operations=["shop.pay"])
    lets = models.PolicyDraft(name="let-pay", scope=scope, effect=models.PolicyEffectAllow(), reason="a test")
    hub.policies.activate(id=hub.policies.put(policy=lets).id)
    names: list[str | None] = []

    def pay(euros: int, call: ToolCall) -> str:
        """Pays."""
        names.append(call.effect)
        raise ConnectionError("the line broke")

    async def landed(args: dict[str, Any], call: ToolCall) -> neonhub.Landed | None:
        names.append(call.effect)
        return neonhub.Landed(f"paid {args['euros']}") if args["euros"] == 5 else None

    hub.add_tool(pay, name="shop.pay", probe=landed)
    hub.agents.put(spec=spec)
    hub.agents.activate(name="till", version="1.0.0")
    calls = [{"tool_calls": [{"id": "c1", "name": "shop.pay", "args": {"euros": euros}}]} for euros in (5, 6)]
    ScriptedModel([calls[0], "Done.", calls[1]]).add_to(hub)
    done = hub.agents.execute(intent="till.work", input={})
    assert done.status == "completed", done
    waiting = hub.agents.execute(intent="till.work", input={})
    assert (waiting.status, waiting.wait_reason) == ("waiting", "approval"), waiting
    assert names[0] is not None and names[0] == names[1] != names[2] == names[3]
    with pytest.raises(OutcomeUnknownError):
        hub.tools.call(name="shop.pay", args={"euros": 5})
    # Outside of runs a call has no name, and nobody asks the probe.
    assert names[4:] == [None]


def test_rate_approval_and_sinks_are_part_of_a_tool(hub: neonhub.Hub) -> None:
    def count() -> int:
        """Counts."""
        return 1

    hub.add_tool(count, effect="read", rate=(1, 60.0), approval=True, sinks=["export"])
    info = hub.tools.describe(name="count")
    assert (info.approval, info.sinks) == (True, ["export"])
    assert info.rate == models.Rate(max=1, per_ms=60_000)
    assert hub.tools.call(name="count").output == 1
    with pytest.raises(RateLimitedError) as caught:
        hub.tools.call(name="count")
    assert caught.value.retry_after is not None and caught.value.retry_after > 50
