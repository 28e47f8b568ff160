"""Begins a run that other languages go on with, or looks at what became of one.

    python python_run.py STORE begin BRAND
    python python_run.py STORE look BRAND RUN

``begin`` asks an agent to make a brand, which a policy lets it do with a person's yes only; prints `run RUN`. ``look``
fails unless the run completed and made exactly one such brand.
"""

import sys

import neonhub
from neonhub import models
from neonhub.testing import ScriptedModel


def begin(hub: neonhub.Hub, brand: str) -> str:
    spec = models.AgentSpec(
        name="clerk",
        version="1.0.0",
        title="Clerk",
        purpose="Makes brands.",
        intents=[models.IntentSpec(name="work", doc="Makes a brand.")],
        instructions=models.Prompt(name="clerk", version=1, template="You make brands."),
        tools=["brands.create"],
        permissions=["read:content", "write:brand"],
        owner="ada",
    )
    if not any(agent.name == "clerk" for agent in hub.agents.list()):
        hub.agents.put(spec=spec)
        hub.agents.activate(name="clerk", version="1.0.0")
        scope = models.PolicyScope(operations=["brands.create"], agents=["clerk"])
        asks = models.PolicyDraft(
            name="brands-are-asked-for",
            scope=scope,
            effect=models.PolicyEffectRequireApproval(quorum=1),
            reason="a brand is a decision of people",
        )
        hub.policies.activate(id=hub.policies.put(policy=asks).id)
    call = {"id": "c1", "name": "brands.create", "args": {"name": brand}}
    ScriptedModel([{"tool_calls": [call]}]).add_to(hub)
    begun = hub.agents.execute(intent="clerk.work", input={})
    assert (begun.status, begun.wait_reason) == ("waiting", "approval"), begun
    return begun.run


def look(hub: neonhub.Hub, brand: str, run: str) -> None:
    found = hub.agents.get_run(id=run, with_log=True)
    assert found.run.status == "completed", found.summary
    assert sum(line.name == brand for line in hub.brands.list().items) == 1
    made = [line for line in found.log if line.kind == "tool_planned" and line.data["tool"] == "brands.create"]
    assert len(made) == 1, made
    assert not hub.store.check()
    assert hub.audit.verify().ok


def main(store: str, task: str, brand: str, *run: str) -> None:
    with neonhub.open(store) as hub:
        if task == "begin":
            print(f"run {begin(hub, brand)}")
        else:
            look(hub, brand, *run)
            print(f"{brand}: one run, one brand")


if __name__ == "__main__":
    main(*sys.argv[1:])
