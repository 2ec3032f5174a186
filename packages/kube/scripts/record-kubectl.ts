/**
 * Prints what kubectl sends: a minimal API server on loopback that answers discovery and OpenAPI, takes any POST, and
 * writes one line of JSON for each request body to standard output: { method, url, contentType, base64 }.
 * The protobuf fixtures of the tests were made with it.
 *
 * Usage: node packages/kube/scripts/record-kubectl.ts PORT
 *        kubectl --server http://127.0.0.1:PORT create namespace demo
 */
import { createServer } from 'node:http';
import { openApiV3, openApiV3Index } from '../src/openapi.ts';
import { decodeProtobuf, isProtobufEnvelope } from '../src/protobuf.ts';
import { apiVersionOf, RESOURCES, subresourceInfo } from '../src/resources.ts';

const port = Number(process.argv[2]);
if (!Number.isInteger(port)) {
  process.stderr.write('Usage: node record-kubectl.ts PORT\n');
  process.exit(2);
}

function resourceList(groupVersion: string): unknown {
  const resources = RESOURCES.filter((info) => apiVersionOf(info) === groupVersion).flatMap((info) => [
    {
      name: info.plural,
      singularName: info.singular,
      namespaced: info.namespaced,
      kind: info.kind,
      verbs: info.verbs,
      shortNames: info.shortNames,
      categories: info.categories,
    },
    ...info.subresources.map((name) => {
      const { kind, verbs } = subresourceInfo(info, name);
      return { name: `${info.plural}/${name}`, singularName: '', namespaced: info.namespaced, kind, verbs };
    }),
  ]);
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

function groupList(): unknown {
  const groups = new Map<string, string>();
  for (const info of RESOURCES) if (info.group !== '') groups.set(info.group, info.version);
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: [...groups].map(([name, version]) => {
      const entry = { groupVersion: `${name}/${version}`, version };
      return { name, versions: [entry], preferredVersion: entry };
    }),
  };
}

function answer(path: string): unknown {
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis') return groupList();
  if (path === '/openapi/v3') return openApiV3Index();
  const document = /^\/openapi\/v3\/apis?\/(.+)$/.exec(path);
  if (document) return openApiV3(document[1] as string);
  const list = /^\/apis?\/((?:[^/]+\/)?v\w+)$/.exec(path);
  return list ? resourceList(list[1] as string) : undefined;
}

createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const url = request.url ?? '/';
  let value: unknown;
  if (request.method === 'GET') value = answer(url.split('?')[0] as string);
  else {
    const contentType = request.headers['content-type'] ?? '';
    const line = { method: request.method, url, contentType, base64: body.toString('base64') };
    process.stdout.write(`${JSON.stringify(line)}\n`);
    value = isProtobufEnvelope(body) ? decodeProtobuf(body) : JSON.parse(body.toString() || '{}');
  }
  response.writeHead(value === undefined ? 404 : request.method === 'POST' ? 201 : 200, {
    'content-type': 'application/json',
  });
  const missing = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
  response.end(JSON.stringify(value ?? missing));
}).listen(port, '127.0.0.1');
