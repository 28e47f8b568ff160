"""Clients of a model in Python, ours and others: `clients.py NAME FOLDER KIND URL AT AMOUNT`.

KIND is `call` (one call of the model) or `tool` (a call, the tool it asks for, a call that answers). AT lists how many
runs go at once, `1,10,100`; AMOUNT is a time as `1.5s` or a number of runs. Prints a line of JSON for each number of runs
at once, as `benches/src/load.rs` does. Ends with status 3 when the library is not installed.
"""

import asyncio
import importlib.metadata
import json
import os
import sys
import time
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

# Least runs before the clock starts, and at least two of each task.
WARM = 50
MODEL = "gpt-4.1"
KEY = "bench"
INSTRUCTIONS = "You answer in one sentence."
QUESTIONS = {"call": "Say that you are ready.", "tool": "What is 2 and 3? Use the tool."}
ANSWERS = {"call": "I am ready.", "tool": "It is 5."}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
FUNCTION = {"name": "add", "description": "Adds two numbers.", "parameters": SCHEMA}


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def talk(kind):
    return [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTIONS[kind]}]


def asked(kind, messages):
    """The body of a request, as one writes it by hand."""
    body = {"model": MODEL, "messages": messages}
    return {**body, "tools": [{"type": "function", "function": FUNCTION}]} if kind == "tool" else body


def result(call_id, arguments):
    return {"role": "tool", "tool_call_id": call_id, "content": str(add(**json.loads(arguments)))}


async def httpx(kind, url, folder, stack):
    import httpx

    # The default keeps 20 connections and opens the others anew for each request.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx.AsyncClient(limits=limits, headers={"authorization": f"Bearer {KEY}"})

    async def run():
        messages = talk(kind)
        while True:
            answer = await client.post(f"{url}/chat/completions", json=asked(kind, messages))
            answer.raise_for_status()
            message = answer.json()["choices"][0]["message"]
            if not message.get("tool_calls"):
                return message["content"]
            messages.append(message)
            messages += [result(call["id"], call["function"]["arguments"]) for call in message["tool_calls"]]

    return run


async def openai(kind, url, folder, stack):
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url, api_key=KEY)

    async def run():
        messages = talk(kind)
        while True:
            answer = await client.chat.completions.create(**asked(kind, messages))
            message = answer.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message)
            messages += [result(call.id, call.function.arguments) for call in message.tool_calls]

    return run


async def langchain_openai(kind, url, folder, stack):
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    adds, model = tool(add), ChatOpenAI(model=MODEL, base_url=url, api_key=KEY)
    bound = model.bind_tools([adds]) if kind == "tool" else model

    async def run():
        messages = talk(kind)
        while True:
            answer = await bound.ainvoke(messages)
            if not answer.tool_calls:
                return answer.content
            messages.append(answer)
            messages += [await adds.ainvoke(call) for call in answer.tool_calls]

    return run


async def openai_agents(kind, url, folder, stack):
    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel(MODEL, openai_client=AsyncOpenAI(base_url=url, api_key=KEY))
    tools = [function_tool(add)] if kind == "tool" else []
    agent = Agent(name="clerk", instructions=INSTRUCTIONS, model=model, tools=tools)

    async def run():
        return (await Runner.run(agent, QUESTIONS[kind])).final_output

    return run


async def pydantic_ai(kind, url, folder, stack):
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key=KEY))
    agent = Agent(model, instructions=INSTRUCTIONS, tools=[add] if kind == "tool" else [])

    async def run():
        return (await agent.run(QUESTIONS[kind])).output

    return run


async def langgraph(kind, url, folder, stack):
    """Every step of a run is in the file, synced, before the next one begins."""
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(folder / "graph.db")))
    await saver.setup()
    await saver.conn.execute("PRAGMA synchronous = FULL")
    adds, model = tool(add), ChatOpenAI(model=MODEL, base_url=url, api_key=KEY)
    bound = model.bind_tools([adds]) if kind == "tool" else model

    async def ask(state):
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    if kind == "tool":
        graph.add_node("tools", ToolNode([adds]))
        graph.add_conditional_edges("ask", tools_condition)
        graph.add_edge("tools", "ask")
    compiled, threads = graph.compile(checkpointer=saver), count()

    async def run():
        config = {"configurable": {"thread_id": str(next(threads))}}
        state = await compiled.ainvoke({"messages": talk(kind)}, config, durability="sync")
        return state["messages"][-1].content

    return run


async def neonhub(kind, url, folder, stack, store="memory:"):
    import neonhub

    provider = {"provider": "openai", "base_url": url, "api": "chat", "api_key": KEY, "model": MODEL}
    hub = await stack.enter_async_context(neonhub.aopen(store, models=[provider]))
    hub.add_tool(add, effect="pure")
    question = {"type": "object", "properties": {"ask": {"type": "string"}}, "required": ["ask"]}
    spec = {
        "name": "clerk",
        "version": "1.0.0",
        "title": "Clerk",
        "purpose": "Answers.",
        "intents": [{"name": "work", "doc": "Answers a question.", "input_schema": question}],
        "instructions": {"name": "clerk", "version": 1, "template": INSTRUCTIONS},
        "tools": ["add"] if kind == "tool" else [],
        "permissions": ["read:content", "execute:agents"],
        "owner": "bench",
    }
    await hub.agents.put(spec=spec)
    await hub.agents.activate(name="clerk", version="1.0.0")

    async def run():
        done = await hub.agents.execute(agent="clerk", intent="work", input={"ask": QUESTIONS[kind]})
        if done.failure is not None:
            raise RuntimeError(f"the run failed: {done.failure}")
        return done.output["text"]

    return run


async def neonhub_file(kind, url, folder, stack):
    return await neonhub(kind, url, folder, stack, f"sqlite:{folder / 'hub.neon'}")


# The name it is asked for by, the package that has its version, and what opens it.
CLIENTS = {
    "neonhub": ("neonhub", neonhub),
    "neonhub, SQLite": ("neonhub", neonhub_file),
    "httpx": ("httpx", httpx),
    "openai": ("openai", openai),
    "langchain-openai": ("langchain-openai", langchain_openai),
    "openai-agents": ("openai-agents", openai_agents),
    "pydantic-ai": ("pydantic-ai-slim", pydantic_ai),
    "langgraph, SQLite": ("langgraph", langgraph),
}


def peak():
    """The most memory so far, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmHWM in /proc/self/status")


async def load(at_once, kind, amount, run):
    """Does the amount with so many tasks; gives the number of runs."""
    start, begun, done = time.perf_counter(), count(), 0
    seconds = float(amount[:-1]) if amount.endswith("s") else None

    def goes_on():
        if seconds is None:
            return next(begun) < int(amount)
        return time.perf_counter() - start < seconds

    async def task():
        nonlocal done
        while goes_on():
            answer = await run()
            if answer != ANSWERS[kind]:
                raise ValueError(f"expected {ANSWERS[kind]!r}, the run answered {answer!r}")
            done += 1

    # The others end before the first error goes on: the next load begins with an idle client.
    outcomes = await asyncio.gather(*(task() for _ in range(at_once)), return_exceptions=True)
    for failure in filter(None, outcomes):
        raise failure
    return done


def label(name, package):
    """The name with the version of its package: `httpx 0.28.1`, `langgraph 1.2.22, SQLite`."""
    library, comma, rest = name.partition(",")
    return f"{library} {importlib.metadata.version(package)}{comma}{rest}"


async def figures(at_once, kind, amount, run):
    try:
        await load(at_once, kind, str(max(WARM, 2 * at_once)), run)
        cpu, start = time.process_time(), time.perf_counter()
        runs = await load(at_once, kind, amount, run)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"rate": runs / seconds, "cpu_ms": cpu * 1e3 / runs, "peak_mib": peak()}


async def measure(name, folder, kind, url, at, amount):
    package, client = CLIENTS[name]
    async with AsyncExitStack() as stack:
        run = await client(kind, url, folder, stack)
        for at_once in map(int, at.split(",")):
            found = await figures(at_once, kind, amount, run)
            print(json.dumps({"name": label(name, package), "at": at_once, **found}), flush=True)


def main():
    name, folder, *order = sys.argv[1:]
    try:
        asyncio.run(measure(name, Path(folder), *order))
    except ModuleNotFoundError as missing:
        print(f"no module {missing.name}", file=sys.stderr)
        sys.exit(3)
    # The figures are out. How threads of a library end with the interpreter is not measured here.
    os._exit(0)


if __name__ == "__main__":
    main()
