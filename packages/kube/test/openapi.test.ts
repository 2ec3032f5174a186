import { describe, expect, test } from 'vitest';
import { openApiV3, openApiV3Index } from '../src/openapi.ts';
import { apiVersionOf, RESOURCES } from '../src/resources.ts';
import { describeType, parseDescriptions } from '../src/schema-descriptions.ts';

interface Operation {
  parameters: { name: string; in: string }[];
  'x-kubernetes-group-version-kind': { group: string; version: string; kind: string };
}

type Document = NonNullable<ReturnType<typeof openApiV3>>;

const crd = {
  spec: {
    group: 'stable.example.com',
    scope: 'Namespaced',
    names: { kind: 'CronTab', plural: 'crontabs', singular: 'crontab' },
    versions: [
      {
        name: 'v1',
        served: true,
        subresources: { status: {}, scale: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: 'A CronTab.',
            properties: {
              spec: { type: 'object', properties: { image: { type: 'string', description: 'What runs.' } } },
            },
          },
        },
      },
      { name: 'v0', served: false },
    ],
  },
};

function schemasOf(
  document: Document,
): Record<string, { properties?: Record<string, { description?: string }> }> {
  return document.components.schemas as never;
}

function dangling(document: Document): string[] {
  const text = JSON.stringify(document);
  const refs = new Set(
    [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1] as string),
  );
  return [...refs].filter((name) => !(name in document.components.schemas));
}

describe('index', () => {
  test('names every group version, with a hash', () => {
    const { paths } = openApiV3Index();
    expect(paths['api/v1']?.serverRelativeURL).toMatch(/^\/openapi\/v3\/api\/v1\?hash=[0-9A-F]+$/);
    for (const info of RESOURCES) {
      const gv = apiVersionOf(info);
      expect(paths[gv.includes('/') ? `apis/${gv}` : `api/${gv}`]).toBeDefined();
    }
  });

  test('the hash of a custom group changes with its schema; others keep theirs', () => {
    const before = openApiV3Index([crd]).paths;
    const changed = structuredClone(crd);
    changed.spec.versions[0]!.schema!.openAPIV3Schema.description = 'Another.';
    const after = openApiV3Index([changed]).paths;
    const key = 'apis/stable.example.com/v1';
    expect(before[key]?.serverRelativeURL).not.toBe(after[key]?.serverRelativeURL);
    expect(before['apis/apps/v1']).toEqual(after['apis/apps/v1']);
    expect(before['apis/stable.example.com/v0']).toBeUndefined();
  });
});

describe('documents', () => {
  const groupVersions = [...new Set(RESOURCES.map(apiVersionOf))];

  test.each(groupVersions)('%s has no dangling reference', (groupVersion) => {
    expect(dangling(openApiV3(groupVersion)!)).toEqual([]);
  });

  test.each(groupVersions)('%s: a PATCH takes fieldValidation for each writable kind', (groupVersion) => {
    const document = openApiV3(groupVersion)!;
    const kinds = new Set<string>();
    for (const path of Object.values(document.paths)) {
      const patch = path.patch as Operation | undefined;
      if (!patch) continue;
      expect(patch.parameters.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['fieldValidation', 'dryRun', 'fieldManager', 'force']),
      );
      const gvk = patch['x-kubernetes-group-version-kind'];
      kinds.add(gvk.kind);
    }
    for (const info of RESOURCES) {
      if (apiVersionOf(info) === groupVersion && info.verbs.includes('patch'))
        expect(kinds).toContain(info.kind);
    }
  });

  test('kinds carry their group-version-kind, fields their descriptions', () => {
    const document = openApiV3('apps/v1')!;
    expect(document.components.schemas['io.k8s.api.apps.v1.Deployment']).toMatchObject({
      type: 'object',
      description: 'Deployment enables declarative updates for Pods and ReplicaSets.',
      'x-kubernetes-group-version-kind': [{ group: 'apps', version: 'v1', kind: 'Deployment' }],
      properties: {
        spec: {
          description: 'Specification of the desired behavior of the Deployment.',
          allOf: [{ $ref: '#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec' }],
        },
      },
    });
    const container = schemasOf(document)['io.k8s.api.core.v1.Container'];
    expect(container?.properties?.image?.description).toContain('Container image name.');
    const probe = schemasOf(document)['io.k8s.api.core.v1.Probe'];
    expect(probe?.properties?.httpGet?.description).toContain('HTTPGet');
    expect(document.components.schemas['io.k8s.api.apps.v1.DeploymentList']).toBeDefined();
  });

  test('paths', () => {
    const paths = Object.keys(openApiV3('v1')!.paths);
    expect(paths).toEqual(
      expect.arrayContaining([
        '/api/v1/pods',
        '/api/v1/namespaces/{namespace}/pods',
        '/api/v1/namespaces/{namespace}/pods/{name}',
        '/api/v1/namespaces/{namespace}/pods/{name}/status',
        '/api/v1/namespaces/{namespace}/pods/{name}/eviction',
        '/api/v1/nodes/{name}',
      ]),
    );
    expect(paths).not.toContain('/api/v1/namespaces/{namespace}/bindings/{name}');
    expect(openApiV3('apps/v1')).toBe(openApiV3('apps/v1'));
    expect(openApiV3('nothing/v1')).toBeUndefined();
  });

  test('custom resources', () => {
    const document = openApiV3('stable.example.com/v1', [crd])!;
    expect(dangling(document)).toEqual([]);
    expect(document.components.schemas['com.example.stable.v1.CronTab']).toMatchObject({
      description: 'A CronTab.',
      'x-kubernetes-group-version-kind': [{ group: 'stable.example.com', version: 'v1', kind: 'CronTab' }],
      properties: { spec: { properties: { image: { description: 'What runs.' } } } },
    });
    const item = document.paths['/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}'];
    const patch = item?.patch as Operation & { requestBody: { content: object } };
    expect(patch['x-kubernetes-group-version-kind']).toEqual({
      group: 'stable.example.com',
      version: 'v1',
      kind: 'CronTab',
    });
    expect(Object.keys(patch.requestBody.content)).not.toContain('application/strategic-merge-patch+json');
    expect(
      document.paths['/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}/scale'],
    ).toBeDefined();
    expect(openApiV3('stable.example.com/v0', [crd])).toBeUndefined();
  });
});

describe('descriptions', () => {
  test('the regular shape of a declaration file', () => {
    const types = parseDescriptions(`import { X } from "../x";
/** A thing. */
export interface Thing {
    /** Its name. */
    name: string;
    /**
     * Labels of it:
     *
     * - any
     */
    readonly labels?: {
        [name: string]: string;
    };
    "x-odd"?: number;
}
/** Another. */
export type Other = string;
`);
    expect(types.get('Thing')?.text).toBe('A thing.');
    expect([...(types.get('Thing')?.fields ?? [])]).toEqual([
      ['name', 'Its name.'],
      ['labels', 'Labels of it:\n\n- any'],
      ['x-odd', ''],
    ]);
    expect(types.get('Other')?.text).toBe('Another.');
  });

  test('almost every field of the served types is described', () => {
    let fields = 0;
    let silent = 0;
    for (const groupVersion of new Set(RESOURCES.map(apiVersionOf))) {
      for (const schema of Object.values(schemasOf(openApiV3(groupVersion)!))) {
        for (const property of Object.values(schema.properties ?? {})) {
          fields++;
          if (!property.description) silent++;
        }
      }
    }
    expect(fields).toBeGreaterThan(2000);
    expect(silent / fields).toBeLessThan(0.1);
    expect(describeType('core/v1.Nothing')).toBeUndefined();
    expect(describeType('nothing/v9.Nothing')).toBeUndefined();
  });
});
