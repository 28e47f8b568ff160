// Models and embedders over the network: a provider on loopback stands in for the real ones.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import * as neonhub from 'neonhub';

const DIMS = 16;

function vector(text) {
  const numbers = Array(DIMS).fill(0.001);
  for (const word of text.toLowerCase().split(/\s+/)) numbers[[...word].reduce((sum, c) => sum + c.charCodeAt(0), 0) % DIMS] += 1;
  return numbers;
}

/** Speaks enough of OpenAI's Chat Completions and Embeddings to be asked. */
async function withProvider(work) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const body = JSON.parse(Buffer.concat(pieces).toString());
    asked.push({ path: request.url, key: request.headers.authorization, body });
    if (request.url === '/v1/embeddings') {
      const data = body.input.map((text, index) => ({ index, embedding: vector(text) }));
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ data, usage: { prompt_tokens: 1 } }));
      return;
    }
    response.setHeader('content-type', 'text/event-stream');
    for (const choice of [{ index: 0, delta: { content: 'Spring is here' } }, { index: 0, delta: {}, finish_reason: 'stop' }]) {
      response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
    }
    response.end('data: [DONE]\n\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work(`http://127.0.0.1:${server.address().port}/v1`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function opened(options, work) {
  const hub = await neonhub.open('memory:', options);
  try {
    await work(hub);
  } finally {
    await hub.close();
  }
}

test('a model over the network answers', () =>
  withProvider(async (baseUrl, asked) => {
    const models = [{ provider: 'near', baseUrl, model: 'some-model', apiKey: 'a-key' }];
    await opened({ models }, async (hub) => {
      const answer = await hub.ai.generateText({ prompt: 'Write a subject line.' });
      assert.deepEqual([answer.text, answer.provider, answer.isOffline], ['Spring is here', 'near', false]);
    });
    assert.deepEqual(
      asked.map(({ path, key, body }) => [path, key, body.model]),
      [['/v1/chat/completions', 'Bearer a-key', 'some-model']],
    );
  }));

test('a call names the route of its models', () =>
  withProvider(async (baseUrl, asked) => {
    const models = [{ provider: 'near', baseUrl, model: 'some-model' }];
    const routes = [{ name: 'small', models: [{ provider: 'near', model: 'small-model' }], byValue: true, atLeast: 0.5 }];
    await opened({ models, routes }, async (hub) => {
      await hub.ai.generateText({ prompt: 'Write a subject line.', route: 'small' });
      await hub.ai.generateText({ prompt: 'Write a subject line.' });
    });
    assert.deepEqual(
      asked.map(({ body }) => body.model),
      ['small-model', 'some-model'],
    );
  }));

test('documents are embedded by an endpoint', () =>
  withProvider(async (baseUrl, asked) => {
    const endpoint = { provider: 'near', baseUrl, model: 'some-model' };
    await opened({ embedders: [{ name: 'near', endpoint, dims: DIMS }], embedder: 'near' }, async (hub) => {
      await hub.spaces.create({ name: 'far', embedder: 'near' });
      await hub.datasets.create({ space: 'far', name: 'docs' });
      await hub.knowledge.ingestText({ dataset: 'docs', title: 'Tea', text: 'Green tea from the hills.' });
      await hub.knowledge.ingestText({ dataset: 'docs', title: 'Boxes', text: 'Gift boxes are packed by hand.' });
      const found = await hub.knowledge.search({ query: 'packed by hand', mode: 'vector' });
      assert.ok(found.hits[0].text.includes('Gift boxes'));
    });
    assert.ok(asked.every(({ path }) => path === '/v1/embeddings'));
  }));

test('wrong settings are named', async () => {
  const refused = (options, pattern) => assert.rejects(neonhub.open('memory:', options), pattern);
  await refused({ models: [{ provider: 'openai', model: 'some-model' }] }, /OPENAI_API_KEY/);
  await refused({ models: [{ provider: 'near', model: 'm', colour: 'red' }] }, /colour/);
  await refused({ routes: [{ name: 'small', models: [{ provider: 'near' }] }] }, /provider/);
  await refused({ embedders: [{ folder: '/nowhere-at-all' }] }, /config\.json/);
});
