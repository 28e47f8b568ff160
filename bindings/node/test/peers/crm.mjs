// A server of tools as others write them, with the official SDK: over its standard streams when it is run, over HTTP for
// who imports it.

import { createServer } from 'node:http';

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

function crm(doc) {
  const server = new McpServer({ name: 'crm', version: '1.0.0' });
  const input = { name: z.string(), most: z.number().int().default(3) };
  const output = { result: z.array(z.string()) };
  server.registerTool('findAccount', { description: doc, inputSchema: input, outputSchema: output }, ({ name, most }) => {
    const result = Array.from({ length: most }, (_, n) => `${name} ${n}`);
    return { content: [{ type: 'text', text: JSON.stringify({ result }) }], structuredContent: { result } };
  });
  server.registerTool('refuse', { description: 'Refuses.', inputSchema: { why: z.string() } }, ({ why }) => {
    throw new Error(why);
  });
  return server;
}

/** Serves it on a free port to who shows the token; gives the server and its address. */
export async function overHttp(token) {
  const http = createServer(async (request, response) => {
    if (request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      return;
    }
    // Without sessions each request has a server of its own.
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on('close', () => transport.close());
    await crm('Finds accounts by name.').connect(transport);
    await transport.handleRequest(request, response);
  });
  await new Promise((done) => http.listen(0, '127.0.0.1', done));
  return { http, url: `http://127.0.0.1:${http.address().port}/mcp` };
}

if (import.meta.filename === process.argv[1]) {
  await crm(process.argv[2]).connect(new StdioServerTransport());
}
