"""The official SDKs of OpenAI, Anthropic and Ollama, as programs use them, against the mock of model providers.

Usage: provider_sdks.py SDK URL KEY. Each line of the input names a case; the answer is a line of JSON: what the
program sees, or the class of the error and its fields. Whatever an SDK hands out is checked against the SDK's own
types first, which it does not do itself. Only this machine is spoken to.
"""

import base64
import json
import os
import sys
import traceback

from pydantic import BaseModel

MODEL = "test-model"
ASK = [{"role": "user", "content": "hi"}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ABOUT = "The weather of a city."


class Product(BaseModel):
    product: str
    price: int


def stay_here(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1][0] if event == "socket.connect" else arguments[0]
        if host not in ("127.0.0.1", b"127.0.0.1"):
            raise PermissionError(f"{host} is not this machine")


def unknown(value) -> list[str]:
    """Names of fields that a type of the SDK does not have."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        inner = (getattr(value, name) for name in fields)
        extra = set(value.model_extra or ()) - {"_request_id", *(field.alias for field in fields.values())}
        return [*extra, *(name for one in inner for name in unknown(one))]
    return [name for one in value for name in unknown(one)] if isinstance(value, list) else []


def sound(value):
    """The value, when it is what its type says: SDKs build their types from any JSON."""
    if names := unknown(value):
        raise ValueError(f"{type(value).__name__} knows no {names}")
    type(value).model_validate(value.model_dump(exclude_unset=True, warnings="error"))
    return value


def openai_cases(url: str, key: str) -> dict:
    import openai

    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20)
    stranger = client.with_options(api_key="nobody")
    chat, responses = client.chat.completions, client.responses
    tool = {"name": "weather-get", "description": ABOUT, "parameters": CITY, "strict": True}
    tools = [{"type": "function", "function": tool}]

    def pieces(stream) -> tuple[list, str, str | None]:
        events = [sound(event) for event in stream]
        choices = [choice for event in events for choice in event.choices]
        text = "".join(choice.delta.content or "" for choice in choices)
        return events, text, choices[-1].finish_reason

    def chat_plain():
        answer = sound(chat.create(model=MODEL, messages=ASK, temperature=0.5, seed=7, stop=["END"]))
        choice, usage = answer.choices[0], answer.usage
        counted = usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 1
        return [choice.message.content, choice.finish_reason, counted, answer._request_id]

    def chat_stream():
        _, text, finish = pieces(chat.create(model=MODEL, messages=ASK, stream=True))
        return [text, finish]

    def chat_stream_counted():
        options = {"include_usage": True}
        stream = chat.create(model=MODEL, messages=ASK, stream=True, stream_options=options)
        events, text, _ = pieces(stream)
        return [text, [event.usage is not None for event in events][-2:], len(events[-1].choices)]

    def chat_tools():
        first = sound(chat.create(model=MODEL, messages=ASK, tools=tools, tool_choice="required"))
        said = first.choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": "sunny in " + json.loads(call.function.arguments)["city"]}
            for call in said.tool_calls
        ]
        second = sound(chat.create(model=MODEL, messages=[*ASK, said, *results], tools=tools))
        calls = [[call.id, call.function.name, call.function.arguments] for call in said.tool_calls]
        return [first.choices[0].finish_reason, said.content, calls, second.choices[0].message.content]

    def chat_tools_stream():
        with chat.stream(model=MODEL, messages=ASK, tools=tools) as stream:
            kinds = [event.type for event in stream]
            said = stream.get_final_completion().choices[0].message
        calls = [[call.id, call.function.name, call.function.parsed_arguments] for call in said.tool_calls]
        return [calls, kinds.count("tool_calls.function.arguments.done")]

    def chat_schema():
        answer = chat.parse(model=MODEL, messages=ASK, response_format=Product)
        return answer.choices[0].message.parsed.model_dump()

    def chat_refusal():
        return sound(chat.create(model=MODEL, messages=ASK)).choices[0].message.refusal

    def responses_plain():
        answer = sound(responses.create(model=MODEL, input="hi", store=False, max_output_tokens=16))
        return [answer.output_text, answer.status, answer.usage.total_tokens > 1]

    def responses_stream():
        events = [sound(event) for event in responses.create(model=MODEL, input=ASK, stream=True)]
        numbers = [event.sequence_number for event in events]
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        return [text, [event.type for event in events], numbers == list(range(len(events)))]

    def responses_stream_final():
        with responses.stream(model=MODEL, input=ASK, text_format=Product) as stream:
            return stream.get_final_response().output_parsed.model_dump()

    def responses_call():
        flat = [{"type": "function", **tool}]
        first = sound(responses.create(model=MODEL, input=ASK, tools=flat, store=False))
        calls = [item for item in first.output if item.type == "function_call"]
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
        second = sound(responses.create(model=MODEL, input=[*ASK, *first.output, *results], tools=flat, store=False))
        return [[[call.call_id, call.name, call.arguments] for call in calls], second.output_text]

    def responses_call_stream():
        with responses.stream(model=MODEL, input=ASK, tools=[{"type": "function", **tool}]) as stream:
            final = stream.get_final_response()
        return [[item.call_id, item.parsed_arguments] for item in final.output]

    def embeddings():
        packed = sound(client.embeddings.create(model=MODEL, input=["red shoes", "red socks"]))
        plain = sound(client.embeddings.create(model=MODEL, input="red shoes", encoding_format="float"))
        short = client.embeddings.create(model=MODEL, input="red shoes", dimensions=8)
        return {
            "indexes": [row.index for row in packed.data],
            "same": list(packed.data[0].embedding) == plain.data[0].embedding,
            "lengths": [len(plain.data[0].embedding), len(short.data[0].embedding)],
            "tokens": packed.usage.total_tokens > 0,
        }

    def images():
        made = sound(client.images.generate(model="gpt-image-2", prompt="a red shoe", n=2, size="1024x1024"))
        starts = [base64.b64decode(row.b64_json)[1:4].decode() for row in made.data]
        return [starts, made.output_format, made.usage.total_tokens > 0]

    def images_edit():
        made = sound(client.images.edit(model="gpt-image-2", prompt="in blue", image=("shoe.png", b"\x89PNG", "image/png")))
        return len(made.data)

    def moderations():
        found = sound(client.moderations.create(model="omni-moderation-latest", input=["a walk", "I will kill you"]))
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        parts = sound(client.moderations.create(input=[{"type": "text", "text": "a walk"}, picture]))
        scores = [row.category_scores.violence for row in found.results]
        return {
            "flagged": [row.flagged for row in found.results],
            "violence": [row.categories.violence for row in found.results],
            "ordered": scores[0] < scores[1] <= 1,
            "types": parts.results[0].category_applied_input_types.violence,
        }

    def models():
        return [sound(model).id for model in client.models.list()]

    def retried():
        return client.with_options(max_retries=1).chat.completions.create(model=MODEL, messages=ASK).choices[0].message.content

    plain = dict(model=MODEL, messages=ASK)
    return {
        "chat": chat_plain,
        "chat_stream": chat_stream,
        "chat_stream_counted": chat_stream_counted,
        "chat_tools": chat_tools,
        "chat_tools_stream": chat_tools_stream,
        "chat_schema": chat_schema,
        "chat_refusal": chat_refusal,
        "responses": responses_plain,
        "responses_stream": responses_stream,
        "responses_stream_final": responses_stream_final,
        "responses_call": responses_call,
        "responses_call_stream": responses_call_stream,
        "embeddings": embeddings,
        "images": images,
        "images_edit": images_edit,
        "moderations": moderations,
        "models": models,
        "retried": retried,
        "stranger": lambda: stranger.chat.completions.create(**plain),
        "no_such_model": lambda: chat.create(model="no-such-model", messages=ASK),
        "too_hot": lambda: chat.create(**plain, temperature=2.5),
        "no_messages": lambda: chat.create(model=MODEL, messages=[]),
        "loose_strict_tool": lambda: chat.create(
            **plain, tools=[{"type": "function", "function": {**tool, "parameters": {"type": "object", "properties": {}}}}]
        ),
        "orphan_result": lambda: chat.create(
            model=MODEL, messages=[*ASK, {"role": "tool", "tool_call_id": "call_9", "content": "sunny"}]
        ),
        "few_output_tokens": lambda: responses.create(model=MODEL, input="hi", max_output_tokens=8),
        "empty_text": lambda: client.embeddings.create(model=MODEL, input=[""]),
        "response_format": lambda: client.images.generate(model="gpt-image-2", prompt="x", response_format="url"),
        "moderation_of_nothing": lambda: client.moderations.create(input=[]),
    }


def anthropic_cases(url: str, key: str) -> dict:
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20)
    stranger = client.with_options(api_key="nobody")
    messages = client.messages
    plain = dict(model=MODEL, max_tokens=64, messages=ASK)
    tools = [{"name": "weather-get", "description": ABOUT, "input_schema": CITY}]

    def create():
        answer = sound(messages.create(**plain, system="Be short.", stop_sequences=["END"]))
        usage = answer.usage
        return [answer.content[0].text, answer.stop_reason, usage.input_tokens > 0 < usage.output_tokens, answer._request_id]

    def events():
        return [sound(event).type for event in messages.create(**plain, stream=True)]

    def stream():
        with messages.stream(**plain) as stream:
            texts = list(stream.text_stream)
            final = sound(stream.get_final_message())
        return [texts, final.content[0].text, final.stop_reason, final.usage.output_tokens > 0]

    def results(said) -> list:
        calls = [block for block in said.content if block.type == "tool_use"]
        return [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny in " + call.input["city"]} for call in calls]

    def round_trip():
        first = sound(messages.create(**plain, tools=tools, tool_choice={"type": "any"}))
        told = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": results(first)}]
        second = sound(messages.create(model=MODEL, max_tokens=64, tools=tools, messages=told))
        calls = [[block.id, block.name, block.input] for block in first.content]
        return [first.stop_reason, calls, second.content[0].text]

    def tools_stream():
        with messages.stream(**plain, tools=tools) as stream:
            final = stream.get_final_message()
        return [[[block.id, block.input] for block in final.content], final.stop_reason]

    def schema():
        return messages.parse(**plain, output_format=Product).parsed_output.model_dump()

    def refusal():
        answer = sound(messages.create(**plain))
        return [answer.stop_reason, answer.stop_details.explanation]

    def count():
        short, long = (
            sound(messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": text}])).input_tokens
            for text in ("hi", "hi " * 50)
        )
        return 0 < short < long

    def retried():
        return client.with_options(max_retries=1).messages.create(**plain).content[0].text

    def told(*contents):
        roles = ("user", "assistant") * len(contents)
        return [{"role": role, "content": content} for role, content in zip(roles, contents)]

    def ask(*contents):
        return messages.create(model=MODEL, max_tokens=64, messages=told(*contents))

    use = [{"type": "tool_use", "id": "toolu_1", "name": "weather-get", "input": {"city": "Wien"}}]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    return {
        "create": create,
        "events": events,
        "stream": stream,
        "tools": round_trip,
        "tools_stream": tools_stream,
        "schema": schema,
        "refusal": refusal,
        "count_tokens": count,
        "retried": retried,
        "failed": lambda: messages.create(**plain),
        "stranger": lambda: stranger.messages.create(**plain),
        "no_such_model": lambda: messages.create(model="no-such-model", max_tokens=64, messages=ASK),
        "warm": lambda: messages.create(**plain, extra_body={"temperature": 1.0}),
        "warm_before": lambda: messages.create(
            **plain, extra_body={"temperature": 1.0}, extra_headers={"anthropic-version": "2023-06-01"}
        ).content[0].text,
        "version_of_nobody": lambda: messages.create(**plain, extra_headers={"anthropic-version": "2024-01-01"}),
        "no_messages": lambda: messages.create(model=MODEL, max_tokens=64, messages=[]),
        "document_of_assistant": lambda: ask("hi", [document]),
        "call_without_result": lambda: ask("hi", use, "and now?"),
        "text_before_result": lambda: ask("hi", use, [{"type": "text", "text": "here:"}, result]),
        "result_without_call": lambda: ask([result]),
        "half_stream": lambda: list(messages.create(**plain, stream=True)),
    }


def ollama_cases(url: str, key: str) -> dict:
    import ollama

    client = ollama.Client(host=url, timeout=20, headers={"authorization": f"Bearer {key}"})
    stranger = ollama.Client(host=url, timeout=20, headers={"authorization": "Bearer nobody"})
    tools = [{"type": "function", "function": {"name": "weather-get", "description": ABOUT, "parameters": CITY}}]

    def chat():
        answer = sound(client.chat(model=MODEL, messages=ASK, options={"num_ctx": 4096, "seed": 7}))
        counted = answer.prompt_eval_count > 0 < answer.eval_count
        return [answer.message.content, answer.done, answer.done_reason, counted]

    def stream():
        parts = [sound(part) for part in client.chat(model=MODEL, messages=ASK, stream=True)]
        return [[part.message.content for part in parts], [part.done for part in parts]]

    def calls(said) -> list:
        return [[call.function.name, dict(call.function.arguments)] for call in said.tool_calls]

    def round_trip():
        first = sound(client.chat(model=MODEL, messages=ASK, tools=tools)).message
        result = {"role": "tool", "tool_name": first.tool_calls[0].function.name, "content": "sunny"}
        second = sound(client.chat(model=MODEL, messages=[*ASK, first, result], tools=tools))
        return [calls(first), second.message.content]

    def tools_stream():
        parts = [sound(part) for part in client.chat(model=MODEL, messages=ASK, tools=tools, stream=True)]
        return [call for part in parts if part.message.tool_calls for call in calls(part.message)]

    def schema():
        answer = client.chat(model=MODEL, messages=ASK, format=Product.model_json_schema())
        return Product.model_validate_json(answer.message.content).model_dump()

    def embed():
        two = sound(client.embed(model=MODEL, input=["red shoes", "red socks"]))
        short = sound(client.embed(model=MODEL, input="red shoes", dimensions=8))
        squares = [sum(number * number for number in row) for row in (*two.embeddings, *short.embeddings)]
        return {
            "lengths": [len(row) for row in (*two.embeddings, *short.embeddings)],
            "unit": all(abs(square - 1) < 1e-5 for square in squares),
            "tokens": two.prompt_eval_count > 0,
        }

    def models():
        return [model.model for model in sound(client.list()).models]

    return {
        "chat": chat,
        "stream": stream,
        "tools": round_trip,
        "tools_stream": tools_stream,
        "schema": schema,
        "embed": embed,
        "list": models,
        "stranger": lambda: stranger.chat(model=MODEL, messages=ASK),
        "failed": lambda: client.chat(model=MODEL, messages=ASK),
        "no_such_model": lambda: client.chat(model="no-such-model", messages=ASK),
        "half_stream": lambda: list(client.chat(model=MODEL, messages=ASK, stream=True)),
    }


def raised(error: Exception) -> dict:
    seen = {"raised": type(error).__name__}
    status = getattr(error, "status_code", -1)
    if status != -1:
        seen["status"] = status
    for name in ("code", "type", "param", "error_code"):
        if getattr(error, name, None) is not None:
            seen[name] = getattr(error, name)
    response = getattr(error, "response", None)
    for name in ("retry-after", "retry-after-ms"):
        if response is not None and name in response.headers:
            seen[name] = response.headers[name]
    return seen


def main(sdk: str, url: str, key: str) -> None:
    sys.addaudithook(stay_here)
    cases = {"openai": openai_cases, "anthropic": anthropic_cases, "ollama": ollama_cases}[sdk](url, key)
    for line in sys.stdin:
        try:
            seen = cases[line.strip()]()
        except Exception as error:
            seen = raised(error)
            if os.environ.get("SHOW"):
                traceback.print_exc()
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
