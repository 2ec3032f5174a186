import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { applyDefaults } from '../src/defaulting.ts';
import { formatFieldError } from '../src/field-error.ts';
import type { KubeObject } from '../src/object.ts';
import { RESOURCES, resourceId } from '../src/resources.ts';
import { validateCreate, validateUpdate } from '../src/validation/validate.ts';
import { createTexts, ready, resourceOf, updateTexts } from './kind-harness.ts';

/** Every name the sources speak of, so that random objects reach far into them. */
const SOURCES = join(import.meta.dirname, '../src');
const NAMES = [
  ...new Set(
    ['defaulting', 'validation'].flatMap((folder) =>
      sourcesOf(join(SOURCES, folder)).flatMap((text) =>
        [...text.matchAll(/\b\w*\.(\w+)\b|'([\w.-]+)'/g)].map(
          ([, field, quoted]) => field ?? (quoted as string),
        ),
      ),
    ),
  ),
].filter((name) => name.length < 40 && !(name in Object.prototype));

function sourcesOf(folder: string): string[] {
  const files = ['pod', 'volume', 'service', 'apps', 'batch', 'storage', 'core', 'networking', 'policy'];
  const more = [
    'workloads',
    'containers',
    'probe',
    'scheduling',
    'cluster',
    'quota',
    'rbac',
    'endpoints',
    'config',
  ];
  const rest = ['pod-spec', 'volumes', 'definition', 'definition-schema', 'autoscaling', 'security-context'];
  return [...files, ...more, ...rest]
    .map((file) => join(folder, `${file}.ts`))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8'));
}

const SCALARS = [
  null,
  true,
  false,
  0,
  -1,
  1,
  80,
  2 ** 31,
  0.5,
  '',
  'a',
  'None',
  'ClientIP',
  '1Gi',
  '10%',
  '10.0.0.0/8',
  '::1',
];

function randomJson(random: () => number, depth: number): unknown {
  const kind = random() % 8;
  if (depth === 0 || kind < 3) return SCALARS[random() % SCALARS.length];
  if (kind === 3) return NAMES[random() % NAMES.length];
  if (kind === 4) return Array.from({ length: random() % 3 }, () => randomJson(random, depth - 1));
  return randomObject(random, depth - 1);
}

function randomObject(random: () => number, depth: number): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (let i = random() % 7; i > 0; i--) {
    object[NAMES[random() % NAMES.length] as string] = randomJson(random, depth);
  }
  return object;
}

/** Replaces a value somewhere inside. */
function spoil(random: () => number, object: unknown): void {
  let at = object as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(at);
    if (keys.length === 0) return;
    const key = keys[random() % keys.length] as string;
    const inner = at[key];
    if (typeof inner === 'object' && inner !== null && random() % 6 !== 0) {
      at = inner as Record<string, unknown>;
      continue;
    }
    at[key] = randomJson(random, 3);
    return;
  }
}

const EVERYTHING: Record<string, object> = {
  pods: {
    spec: {
      containers: [
        {
          name: 'c',
          image: 'x',
          ports: [{ containerPort: 1, hostPort: 1, name: 'p' }],
          env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: "metadata.labels['x']" } } }],
          envFrom: [{ configMapRef: { name: 'x' } }],
          resources: { limits: { cpu: '1', 'a.b/c': '1' }, requests: { cpu: '1' }, claims: [{ name: 'r' }] },
          volumeMounts: [{ name: 'v', mountPath: '/x', subPath: 'a', mountPropagation: 'None' }],
          volumeDevices: [{ name: 'v', devicePath: '/d' }],
          livenessProbe: { httpGet: { port: 1, httpHeaders: [{ name: 'x' }] } },
          lifecycle: { preStop: { sleep: { seconds: 1 } } },
          securityContext: {
            runAsUser: 1,
            seccompProfile: { type: 'Localhost' },
            capabilities: { add: ['X'] },
          },
          resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }],
        },
      ],
      initContainers: [{ name: 'i', image: 'x', restartPolicy: 'Always' }],
      ephemeralContainers: [{ name: 'e', image: 'x', targetContainerName: 'c' }],
      volumes: [
        { name: 'v', projected: { sources: [{ secret: { name: 's', items: [{ key: 'a', path: 'b' }] } }] } },
        { name: 'w', ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'] } } } },
      ],
      tolerations: [{ key: 'a', operator: 'Exists' }],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }],
          },
        },
        podAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1, podAffinityTerm: { topologyKey: 'a' } },
          ],
        },
      },
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'a', whenUnsatisfiable: 'DoNotSchedule' }],
      schedulingGates: [{ name: 'g' }],
      resourceClaims: [{ name: 'r', resourceClaimName: 'x' }],
      dnsConfig: { nameservers: ['1.1.1.1'], searches: ['a.'], options: [{ name: 'ndots' }] },
      hostAliases: [{ ip: '1.1.1.1', hostnames: ['a'] }],
      securityContext: { sysctls: [{ name: 'net.x' }], supplementalGroups: [1] },
    },
    status: { podIPs: [{ ip: '1.1.1.1' }], conditions: [{ type: 'Ready' }] },
  },
};
const WORKLOAD = {
  spec: {
    selector: { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] },
    template: { metadata: { labels: { a: 'b' } }, spec: (EVERYTHING.pods as { spec: object }).spec },
    schedule: '* * * * *',
    jobTemplate: { spec: { template: { spec: {} } } },
    podFailurePolicy: { rules: [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [1] } }] },
  },
};

function sampleOf(id: string, random: () => number): object {
  if (Object.hasOwn(EVERYTHING, id)) return structuredClone(EVERYTHING[id]) as object;
  if (/^(deployments|replicasets|statefulsets|daemonsets|jobs|cronjobs)\./.test(id)) {
    return structuredClone(WORKLOAD);
  }
  return randomObject(random, 5);
}

describe.each(
  RESOURCES.filter((info) => info.virtual !== true).map((info) => [resourceId(info), info] as const),
)('%s', (id, info) => {
  const seed = 20_240_601 + id.length * 7919;
  test(`nothing throws, and defaults are filled once (seed ${seed})`, () => {
    const random = seededRandom32(seed);
    for (let round = 0; round < 60; round++) {
      const object = {
        apiVersion: 'x',
        kind: info.kind,
        metadata: { name: 'a', namespace: 'b', labels: { x: 'y' }, ownerReferences: [{ kind: 'x' }] },
        spec: randomJson(random, 5),
        status: randomJson(random, 4),
        ...sampleOf(id, random),
      } as unknown as KubeObject;
      for (let i = random() % 6; i > 0; i--) spoil(random, object);
      const old = structuredClone(object);
      for (let i = random() % 4; i > 0; i--) spoil(random, old);
      const shown = JSON.stringify(object);
      try {
        applyDefaults(info, object);
        const once = structuredClone(object);
        applyDefaults(info, object);
        expect(object).toEqual(once);
        for (const subresource of ['', 'status']) validateUpdate(info, object, old, subresource);
        const errors = validateCreate(info, object);
        errors.map(formatFieldError);
        // Validation reads, it does not write.
        expect(object).toEqual(once);
      } catch (error) {
        throw new Error(`seed ${seed}, round ${round}: ${shown}`, { cause: error });
      }
    }
  });
});

test.each([[null], [undefined], ['x'], [5], [[]]])('an object whose every part is %j', (part) => {
  for (const info of RESOURCES) {
    const object = {
      apiVersion: 'v1',
      kind: info.kind,
      metadata: part,
      spec: part,
      status: part,
      data: part,
    };
    const odd = object as unknown as KubeObject;
    applyDefaults(info, odd);
    validateCreate(info, odd);
    validateUpdate(info, odd, odd);
  }
});

/** Beside the repository, where it is laid out so. */
const FIXTURES = join(import.meta.dirname, '../../../../shared/fixtures');

describe.skipIf(!existsSync(FIXTURES))(`manifests of ${FIXTURES}`, () => {
  test.each(['online-boutique.yaml', 'online-boutique-network-policies.yaml'])('%s is right', (file) => {
    // Files put one after another without a newline at the end of the first.
    const text = readFileSync(join(FIXTURES, file), 'utf8').replaceAll(/(?<=[^\n-])---$/gm, '\n---');
    const documents = parseAllDocuments(text);
    const objects = documents.map((document) => document.toJSON() as KubeObject | null);
    let checked = 0;
    for (const object of objects) {
      if (object === null) continue;
      checked++;
      expect(resourceOf(object), object.kind).toBeDefined();
      expect(createTexts(object), `${object.kind} ${object.metadata.name}`).toEqual([]);
      expect(updateTexts(object, ready(object))).toEqual([]);
    }
    expect(checked).toBeGreaterThan(10);
  });
});
