"""Answers of models as values of a type."""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Annotated, Any, Literal, TypedDict

import neonhub
import pytest
from neonhub._schema import Misfit, built, schema_of
from neonhub.errors import CorruptedError, UnsupportedError


class Tone(enum.Enum):
    WARM = "warm"
    PLAIN = "plain"


@dataclass
class Line:
    """One line of an offer.

    Attributes:
        text: What is said.
    """

    text: str
    tone: Tone = Tone.PLAIN


@dataclass
class Offer:
    title: Annotated[str, "At most six words"]
    lines: list[Line]
    prices: tuple[int, float] | None = None
    until: datetime | None = None


class Facts(TypedDict, total=False):
    line: Line
    tags: set[str]


@dataclass
class Mail:
    kind: Literal["mail"]
    to: str


@dataclass
class Post:
    kind: Literal["post"]
    network: str


@dataclass
class Share:
    percent: int

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise ValueError("expected 0 to 100")


Answers = Callable[[neonhub.Hub, list[Any]], list[neonhub.ModelRequest]]


@pytest.fixture
def answers() -> Answers:
    def add(hub: neonhub.Hub, values: list[Any]) -> list[neonhub.ModelRequest]:
        asked: list[neonhub.ModelRequest] = []

        def complete(request: neonhub.ModelRequest) -> str:
            asked.append(request)
            return json.dumps(values[min(len(asked), len(values)) - 1])

        hub.add_model(complete, provider="house", json_schema=True)
        return asked

    return add


def test_a_dataclass_comes_back_whole(hub: neonhub.Hub, answers: Answers) -> None:
    lines = [{"text": "Fresh", "tone": "warm"}, {"text": "Now"}]
    value = {"title": "Spring", "lines": lines, "prices": [3, 4], "until": "2026-12-01T00:00:00Z"}
    asked = answers(hub, [value])
    offer = hub.generate(Offer, "An offer for spring.", system="Be brief.")
    until = datetime(2026, 12, 1, tzinfo=timezone.utc)
    assert offer == Offer("Spring", [Line("Fresh", Tone.WARM), Line("Now")], (3, 4.0), until)
    assert "An offer for spring." in asked[0].prompt
    schema = asked[0].output_schema
    assert schema is not None and schema["properties"]["title"]["description"] == "At most six words"
    assert schema["$defs"]["Line"]["description"].startswith("One line of an offer.")
    assert schema["$defs"]["Line"]["properties"]["text"]["description"] == "What is said."


async def test_a_list_and_a_union_are_asked_as_one_member(ahub: neonhub.AsyncHub) -> None:
    sent = [{"kind": "mail", "to": "ada@shop.example"}, {"kind": "post", "network": "x"}]
    ahub.add_model(lambda _: json.dumps({"value": sent}), provider="house", json_schema=True)
    assert await ahub.generate(list[Mail | Post], "Plan.") == [Mail("mail", "ada@shop.example"), Post("post", "x")]


def test_a_schema_of_ones_own_gives_plain_values(hub: neonhub.Hub, answers: Answers) -> None:
    answers(hub, [{"value": 3}])
    assert hub.generate({"type": "integer"}, "How many?") == 3


def test_offline_the_facts_fill_the_type(hub: neonhub.Hub) -> None:
    facts = {"title": "Spring", "lines": [{"text": "Fresh"}]}
    assert hub.generate(Offer, "An offer.", facts=facts) == Offer("Spring", [Line("Fresh")])
    assert hub.generate(int, "How many?", facts="4") == 4
    with pytest.raises(UnsupportedError, match="no fact for lines") as caught:
        hub.generate(Offer, "An offer.", facts={"title": "Spring"})
    assert caught.value.code == "needs_input"


def test_an_answer_that_does_not_fit_is_given_back_once(hub: neonhub.Hub, answers: Answers) -> None:
    asked = answers(hub, [{"percent": "many"}, {"percent": 20}])
    assert hub.generate(Share, "How much?") == Share(20)
    assert len(asked) == 2 and "percent" in asked[1].prompt
    answers(hub, [{"percent": "many"}])
    with pytest.raises(CorruptedError) as caught:
        hub.generate(Share, "How much?")
    assert caught.value.code == "invalid_output"


def test_what_the_class_itself_refuses_is_named_by_field(hub: neonhub.Hub, answers: Answers) -> None:
    asked = answers(hub, [{"value": [{"percent": 20}, {"percent": 120}]}])
    with pytest.raises(CorruptedError) as caught:
        hub.generate(list[Share], "How much?")
    assert (caught.value.code, caught.value.operation) == ("invalid_output", "ai.generate_text")
    assert [(f.field, f.message) for f in caught.value.faults] == [("[1]", "expected 0 to 100")]
    assert len(asked) == 1


def test_a_pydantic_model_checks_by_its_own_means(hub: neonhub.Hub, answers: Answers) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Row(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        sku: str

        @pydantic.field_validator("sku")  # type: ignore[untyped-decorator]
        def known(cls, sku: str) -> str:
            if not sku.startswith("T"):
                raise ValueError("no such article")
            return sku.lower()

    class Cart(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        rows: list[Row]

    answers(hub, [{"rows": [{"sku": "T-1"}]}])
    cart = hub.generate(Cart, "The cart.")
    assert isinstance(cart, Cart) and cart.rows[0].sku == "t-1"
    answers(hub, [{"rows": [{"sku": "T-1"}, {"sku": "X-1"}]}])
    with pytest.raises(CorruptedError) as caught:
        hub.generate(Cart, "The cart.")
    assert [fault.field for fault in caught.value.faults] == ["rows[1].sku"]


def test_values_are_built_at_any_depth() -> None:
    assert built(dict[str, Line], {"a": {"text": "x"}}) == {"a": Line("x")}
    assert built(Facts, {"line": {"text": "x"}, "tags": ["a"]}) == {"line": Line("x"), "tags": {"a"}}
    assert built(tuple[Line, ...], [{"text": "x"}]) == (Line("x"),)
    assert built(date, "2026-12-01") == date(2026, 12, 1)
    name = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    assert built(uuid.UUID, str(name)) == name
    assert (built(int, 3.0), built(float, 3)) == (3, 3.0)
    cases: list[tuple[Any, Any, set[str]]] = [
        (Offer, {"title": 3, "lines": [{"text": None}], "more": 1}, {"title", "lines[0].text", "more"}),
        (dict[str, Line], {"a": {}}, {"a.text"}),
        (list[bool], [True, 1], {"[1]"}),
        (int, True, {"value"}),
        (Literal[1, "a"], True, {"value"}),
        (Mail | Post, {"kind": "call"}, {"value"}),
        (Tone, "cold", {"value"}),
        (tuple[int, str], [1], {"value"}),
    ]
    for hint, value, fields in cases:
        with pytest.raises(Misfit) as caught:
            built(hint, value)
        assert {fault.field for fault in caught.value.faults} == fields, value


def test_two_classes_of_one_name_stay_two() -> None:
    def other() -> type:
        @dataclass
        class Line:
            length: int

        return Line

    @dataclass
    class Both:
        a: Line
        b: Any = field(default=None)

    Both.__annotations__["b"] = other()
    Both.__annotations__["a"] = Line
    schema = schema_of(Both)
    assert schema["properties"]["a"] == {"$ref": "#/$defs/Line"}
    assert schema["$defs"]["Line_2"]["properties"] == {"length": {"type": "integer"}}
