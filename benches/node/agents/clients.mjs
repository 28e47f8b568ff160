// Clients of a model in Node, ours and others: `clients.mjs NAME FOLDER KIND URL AT AMOUNT`.
//
// KIND is `call` (one call of the model) or `tool` (a call, the tool it asks for, a call that answers). AT lists how many
// runs go at once, `1,10,100`; AMOUNT is a time as `1.5s` or a number of runs. Prints a line of JSON for each number of
// runs at once, as `benches/src/load.rs` does, or why runs failed. Ends with status 3 when the library is not installed. Ours is taken from
// the repository, whose root is the working folder; the others from beside this file.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Least runs before the clock starts, and at least two of each task. */
const WARM = 50;
const MODEL = "gpt-4.1";
const KEY = "bench";
const BINDING = "bindings/node";
const INSTRUCTIONS = "You answer in one sentence.";
const QUESTIONS = { call: "Say that you are ready.", tool: "What is 2 and 3? Use the tool." };
const ANSWERS = { call: "I am ready.", tool: "It is 5." };
const INTEGERS = { a: { type: "integer" }, b: { type: "integer" } };
const SCHEMA = { type: "object", properties: INTEGERS, required: ["a", "b"], additionalProperties: false };
const DOC = "Adds two numbers.";

const [name, folder, kind, url, at, amount] = process.argv.slice(2);
const question = QUESTIONS[kind];
const hasTool = kind === "tool";

const add = ({ a, b }) => a + b;
const talk = () => [
  { role: "system", content: INSTRUCTIONS },
  { role: "user", content: question },
];
/** The body of a request, as one writes it by hand. */
const asked = (messages) => ({
  model: MODEL,
  messages,
  ...(hasTool && { tools: [{ type: "function", function: { name: "add", description: DOC, parameters: SCHEMA } }] }),
});
const result = (call) => ({
  role: "tool",
  tool_call_id: call.id,
  content: String(add(JSON.parse(call.function.arguments))),
});

/** Asks until the model calls for nothing more; `ask` gives its message. */
async function converse(ask) {
  const messages = talk();
  for (;;) {
    const message = await ask(messages);
    if (!message.tool_calls?.length) return message.content;
    messages.push(message, ...message.tool_calls.map(result));
  }
}

async function undici() {
  const { Agent, request } = await import("undici");
  const dispatcher = new Agent();
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const ask = async (messages) => {
    const sent = { method: "POST", headers, body: JSON.stringify(asked(messages)), dispatcher };
    const { statusCode, body } = await request(`${url}/chat/completions`, sent);
    const answer = await body.json();
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
    return answer.choices[0].message;
  };
  return () => converse(ask);
}

async function openai() {
  const { OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: url, apiKey: KEY });
  const ask = async (messages) => (await client.chat.completions.create(asked(messages))).choices[0].message;
  return () => converse(ask);
}

async function langchain() {
  const { ChatOpenAI } = await import("@langchain/openai");
  const { tool } = await import("@langchain/core/tools");
  const { HumanMessage, SystemMessage } = await import("@langchain/core/messages");
  const adds = tool(add, { name: "add", description: DOC, schema: SCHEMA });
  const model = new ChatOpenAI({ model: MODEL, apiKey: KEY, configuration: { baseURL: url } });
  const bound = hasTool ? model.bindTools([adds]) : model;
  return async () => {
    const messages = [new SystemMessage(INSTRUCTIONS), new HumanMessage(question)];
    for (;;) {
      const answer = await bound.invoke(messages);
      if (!answer.tool_calls?.length) return answer.content;
      messages.push(answer);
      for (const call of answer.tool_calls) messages.push(await adds.invoke(call));
    }
  };
}

async function ai() {
  const { generateText, jsonSchema, stepCountIs, tool } = await import("ai");
  const { createOpenAI } = await import("@ai-sdk/openai");
  const model = createOpenAI({ baseURL: url, apiKey: KEY }).chat(MODEL);
  const adds = tool({ description: DOC, inputSchema: jsonSchema(SCHEMA), execute: async (args) => add(args) });
  const settings = { model, system: INSTRUCTIONS, prompt: question, stopWhen: stepCountIs(3) };
  if (hasTool) settings.tools = { add: adds };
  return async () => (await generateText(settings)).text;
}

async function neonhub(stack) {
  const { open } = await import(pathToFileURL(resolve(BINDING, "dist/index.js")));
  const provider = { provider: "openai", baseUrl: url, api: "chat", apiKey: KEY, model: MODEL };
  const hub = await open("memory:", { models: [provider] });
  stack.push(() => hub.close());
  hub.addTool({ name: "add", doc: DOC, effect: "pure", input: SCHEMA, call: add });
  const inputSchema = { type: "object", properties: { ask: { type: "string" } }, required: ["ask"] };
  const spec = {
    name: "clerk",
    version: "1.0.0",
    title: "Clerk",
    purpose: "Answers.",
    intents: [{ name: "work", doc: "Answers a question.", inputSchema }],
    instructions: { name: "clerk", version: 1, template: INSTRUCTIONS },
    tools: hasTool ? ["add"] : [],
    permissions: ["read:content", "execute:agents"],
    owner: "bench",
  };
  await hub.agents.put({ spec });
  await hub.agents.activate({ name: "clerk", version: "1.0.0" });
  return async () => {
    const done = await hub.agents.execute({ agent: "clerk", intent: "work", input: { ask: question } });
    if (done.failure) throw new Error(`the run failed: ${JSON.stringify(done.failure)}`);
    return done.output.text;
  };
}

/** What opens a client, by the name it is asked for by, which is that of its package too. */
const CLIENTS = { neonhub, undici, openai, "@langchain/openai": langchain, ai };

function label() {
  const at = name === "neonhub" ? resolve(BINDING) : new URL(`node_modules/${name}`, import.meta.url).pathname;
  return `${name} ${JSON.parse(readFileSync(`${at}/package.json`, "utf8")).version}`;
}

/** The most memory so far, in MiB. */
const peak = () => Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;

/** Does an amount with so many tasks; gives the number of runs. */
async function load(atOnce, amount, run) {
  const start = performance.now();
  const seconds = amount.endsWith("s") ? Number(amount.slice(0, -1)) : null;
  let [begun, done] = [0, 0];
  const goesOn = () => (seconds === null ? begun++ < Number(amount) : performance.now() - start < seconds * 1000);
  const task = async () => {
    while (goesOn()) {
      const answer = await run();
      if (answer !== ANSWERS[kind]) throw new Error(`expected ${ANSWERS[kind]}, the run answered ${answer}`);
      done++;
    }
  };
  // The others end before the first error goes on: the next load begins with an idle client.
  const outcomes = await Promise.allSettled(Array.from({ length: atOnce }, task));
  const failure = outcomes.find(({ status }) => status === "rejected");
  if (failure) throw failure.reason;
  return done;
}

async function figures(atOnce, run) {
  try {
    await load(atOnce, String(Math.max(WARM, 2 * atOnce)), run);
    const [cpu, start] = [process.cpuUsage(), performance.now()];
    const runs = await load(atOnce, amount, run);
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    return { rate: runs / seconds, cpu_ms: (user + system) / 1000 / runs, peak_mib: peak() };
  } catch (error) {
    return { failed: String(error) };
  }
}

async function main() {
  const stack = [];
  const run = await CLIENTS[name](stack);
  for (const atOnce of at.split(",").map(Number)) {
    console.log(JSON.stringify({ name: label(), at: atOnce, ...(await figures(atOnce, run)) }));
  }
  for (const close of stack) await close();
}

try {
  await main();
  // Some keep connections open that would hold the process up.
  process.exit(0);
} catch (error) {
  const isMissing = error.code === "ERR_MODULE_NOT_FOUND";
  console.error(isMissing ? error.message.split("\n")[0] : error);
  process.exit(isMissing ? 3 : 1);
}
