import { formatFieldError, invalidField } from './field-error.ts';
import { labelValueErrors, qualifiedNameErrors } from './names.ts';

/**
 * Label selectors (text of `-l`, and metav1.LabelSelector objects) and field selectors.
 * Grammar and error texts: apimachinery `pkg/labels/selector.go` and `pkg/fields/selector.go`.
 */
export type LabelOperator = 'in' | 'notin' | '=' | '!=' | 'exists' | '!' | 'gt' | 'lt';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
}

/** All requirements must hold; none at all matches everything. */
export type LabelRequirements = readonly LabelRequirement[];

/** metav1.LabelSelector. */
export interface LabelSelectorObject {
  matchLabels?: Record<string, string>;
  matchExpressions?: readonly { key: string; operator: string; values?: readonly string[] }[];
}

export type Labels = Readonly<Record<string, string>> | undefined;

/** A selector that cannot be parsed; the message is the API server's. */
export class SelectorError extends Error {}

interface Token {
  type: 'identifier' | 'symbol' | 'end' | 'error';
  text: string;
}

const SYMBOLS: ReadonlySet<string> = new Set([')', ',', '!', '==', '=', '>', '<', '!=', '(']);
const BINARY_OPERATORS = 'in, notin, =, ==, !=, gt, lt';

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at] as string;
    if (' \t\r\n'.includes(character)) {
      at++;
      continue;
    }
    if ('=!(),><'.includes(character)) {
      const two = text.slice(at, at + 2);
      const symbol = SYMBOLS.has(two) ? two : character;
      tokens.push({ type: 'symbol', text: symbol });
      at += symbol.length;
      continue;
    }
    let end = at;
    while (end < text.length && !'=!(),>< \t\r\n'.includes(text[end] as string)) end++;
    tokens.push({ type: 'identifier', text: text.slice(at, end) });
    at = end;
  }
  tokens.push({ type: 'end', text: '' });
  return tokens;
}

class LabelSelectorParser {
  private readonly tokens: Token[];
  private at = 0;

  constructor(text: string) {
    this.tokens = tokenize(text);
  }

  private peek(): Token {
    return this.tokens[Math.min(this.at, this.tokens.length - 1)] as Token;
  }

  private next(): Token {
    const token = this.peek();
    this.at++;
    return token;
  }

  private atSymbol(symbol: string): boolean {
    const token = this.peek();
    return token.type === 'symbol' && token.text === symbol;
  }

  private startsRequirement(): boolean {
    return this.peek().type === 'identifier' || this.atSymbol('!');
  }

  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = [];
    while (this.peek().type !== 'end') {
      if (!this.startsRequirement()) {
        throw new SelectorError(`found '${this.peek().text}', expected: !, identifier, or 'end of string'`);
      }
      requirements.push(this.requirement());
      if (this.peek().type === 'end') break;
      if (!this.atSymbol(',')) {
        throw new SelectorError(`found '${this.peek().text}', expected: ',' or 'end of string'`);
      }
      this.next();
      if (!this.startsRequirement()) {
        throw new SelectorError(`found '${this.peek().text}', expected: identifier after ','`);
      }
    }
    return requirements;
  }

  private fail(why: string): never {
    throw new SelectorError(`unable to parse requirement: ${why}`);
  }

  private requirement(): LabelRequirement {
    const negated = this.atSymbol('!');
    if (negated) this.next();
    const key = this.next();
    if (key.type !== 'identifier') this.fail(`found '${key.text}', expected: identifier`);
    const keyErrors = qualifiedNameErrors(key.text);
    if (keyErrors.length > 0) {
      this.fail(formatFieldError(invalidField('<nil>', key.text, keyErrors.join('; '))));
    }
    if (negated || this.peek().type === 'end' || this.atSymbol(',')) {
      return { key: key.text, operator: negated ? '!' : 'exists', values: [] };
    }
    const operator = this.next().text;
    let requirement: LabelRequirement;
    if (operator === 'in' || operator === 'notin') {
      requirement = { key: key.text, operator, values: this.values() };
    } else if (operator === '=' || operator === '==' || operator === '!=') {
      requirement = { key: key.text, operator: operator === '!=' ? '!=' : '=', values: [this.exactValue()] };
    } else if (operator === '>' || operator === '<') {
      requirement = { key: key.text, operator: operator === '>' ? 'gt' : 'lt', values: [this.exactValue()] };
    } else {
      this.fail(`found '${operator}', expected: ${BINARY_OPERATORS}`);
    }
    this.check(requirement);
    return requirement;
  }

  private check(requirement: LabelRequirement): void {
    requirement.values.forEach((value, i) => {
      if (requirement.operator === 'gt' || requirement.operator === 'lt') {
        if (!/^[-+]?\d+$/.test(value)) {
          const why = "for 'Gt', 'Lt' operators, the value must be an integer";
          this.fail(formatFieldError(invalidField(`values[${i}]`, value, why)));
        }
      }
      const errors = labelValueErrors(value);
      if (errors.length > 0) {
        this.fail(
          formatFieldError(invalidField(`values[${i}][${requirement.key}]`, value, errors.join('; '))),
        );
      }
    });
  }

  private values(): string[] {
    if (!this.atSymbol('(')) this.fail(`found '${this.peek().text}' expected: '('`);
    this.next();
    const values = new Set<string>();
    let afterComma = true;
    for (;;) {
      const token = this.next();
      if (token.type === 'identifier') {
        values.add(token.text);
        afterComma = false;
        if (!this.atSymbol(',') && !this.atSymbol(')')) {
          this.fail(`found '${this.peek().text}', expected: ',' or ')'`);
        }
      } else if (token.type === 'symbol' && token.text === ',') {
        if (afterComma) values.add('');
        afterComma = true;
      } else if (token.type === 'symbol' && token.text === ')') {
        if (afterComma) values.add('');
        return [...values].sort();
      } else {
        this.fail(`found '${token.text}', expected: ',', or identifier`);
      }
    }
  }

  private exactValue(): string {
    if (this.peek().type === 'end' || this.atSymbol(',')) return '';
    const token = this.next();
    if (token.type !== 'identifier') this.fail(`found '${token.text}', expected: identifier`);
    return token.text;
  }
}

/** Parses `app=web,tier in (a, b),!canary`. Throws SelectorError. */
export function parseLabelSelector(text: string): LabelRequirements {
  return new LabelSelectorParser(text).parse();
}

export function matchesRequirement(requirement: LabelRequirement, labels: Labels): boolean {
  const value = labels && Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  switch (requirement.operator) {
    case 'in':
    case '=':
      return value !== undefined && requirement.values.includes(value);
    case 'notin':
    case '!=':
      return value === undefined || !requirement.values.includes(value);
    case 'exists':
      return value !== undefined;
    case '!':
      return value === undefined;
    case 'gt':
    case 'lt': {
      if (value === undefined || !/^[-+]?\d+$/.test(value)) return false;
      const difference = BigInt(value) - BigInt(requirement.values[0] ?? '0');
      return requirement.operator === 'gt' ? difference > 0n : difference < 0n;
    }
  }
}

export function matchesRequirements(requirements: LabelRequirements, labels: Labels): boolean {
  return requirements.every((requirement) => matchesRequirement(requirement, labels));
}

/**
 * metav1.LabelSelector: an absent selector matches nothing, an empty one everything. An unknown operator matches
 * nothing (validation refuses it before).
 */
export function matchesLabelSelector(
  selector: LabelSelectorObject | null | undefined,
  labels: Labels,
): boolean {
  if (!selector) return false;
  for (const key in selector.matchLabels) {
    if (!labels || !Object.hasOwn(labels, key) || labels[key] !== selector.matchLabels[key]) return false;
  }
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const value = labels && Object.hasOwn(labels, key) ? labels[key] : undefined;
    const has = value !== undefined;
    if (operator === 'In') {
      if (!has || !values?.includes(value)) return false;
    } else if (operator === 'NotIn') {
      if (has && values?.includes(value)) return false;
    } else if (operator === 'Exists') {
      if (!has) return false;
    } else if (operator === 'DoesNotExist') {
      if (has) return false;
    } else return false;
  }
  return true;
}

/** The plain map selectors of Service and ReplicationController: an empty or absent map matches nothing. */
export function matchesSelectorMap(
  selector: Readonly<Record<string, string>> | null | undefined,
  labels: Labels,
): boolean {
  if (!selector) return false;
  const keys = Object.keys(selector);
  return (
    keys.length > 0 &&
    keys.every((key) => labels !== undefined && Object.hasOwn(labels, key) && labels[key] === selector[key])
  );
}

/** A metav1.LabelSelector in the text form of `-l`, as /scale reports it in `status.selector`. */
export function formatLabelSelector(selector: LabelSelectorObject | null | undefined): string {
  if (!selector) return '';
  const parts = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
    key,
    text: `${key}=${value}`,
  }));
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const list = `(${[...(values ?? [])].sort().join(',')})`;
    if (operator === 'In') parts.push({ key, text: `${key} in ${list}` });
    else if (operator === 'NotIn') parts.push({ key, text: `${key} notin ${list}` });
    else if (operator === 'Exists') parts.push({ key, text: key });
    else if (operator === 'DoesNotExist') parts.push({ key, text: `!${key}` });
  }
  return parts
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map((part) => part.text)
    .join(',');
}

export interface FieldRequirement {
  readonly field: string;
  readonly negated: boolean;
  readonly value: string;
}

/** All must hold; none matches everything. */
export type FieldRequirements = readonly FieldRequirement[];

function unescapeFieldValue(value: string): string {
  let result = '';
  for (let i = 0; i < value.length; i++) {
    const character = value[i] as string;
    if (character === '\\') {
      const next = value[++i];
      if (next === undefined || !'\\,='.includes(next)) {
        throw new SelectorError(
          `invalid field selector: invalid escape sequence: ${value.slice(i - 1, i + 1)}`,
        );
      }
      result += next;
    } else if (character === ',' || character === '=') {
      throw new SelectorError(
        `invalid field selector: unescaped character in value: ${character.charCodeAt(0)}`,
      );
    } else result += character;
  }
  return result;
}

/** Parses `spec.nodeName=node-1,status.phase!=Failed`; `\,`, `\=` and `\\` are escapes. Throws SelectorError. */
export function parseFieldSelector(text: string): FieldRequirements {
  const requirements: FieldRequirement[] = [];
  for (const [term] of text.matchAll(/(?:\\[\s\S]|[^,\\]|\\$)+/g)) {
    const match = /^([\s\S]*?)(!=|==|=)([\s\S]*)$/.exec(term);
    if (!match) throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    const [, field, operator, value] = match as unknown as [string, string, string, string];
    requirements.push({ field, negated: operator === '!=', value: unescapeFieldValue(value) });
  }
  return requirements;
}

const EVENT_FIELDS = [
  'involvedObject.kind',
  'involvedObject.namespace',
  'involvedObject.name',
  'involvedObject.uid',
  'involvedObject.apiVersion',
  'involvedObject.resourceVersion',
  'involvedObject.fieldPath',
  'reason',
  'reportingComponent',
  'source',
  'type',
];
const EVENTS_V1_FIELDS = [
  'regarding.kind',
  'regarding.namespace',
  'regarding.name',
  'regarding.uid',
  'regarding.apiVersion',
  'regarding.resourceVersion',
  'regarding.fieldPath',
  'reason',
  'reportingController',
  'type',
];

/** Fields that may be selected by besides metadata.name and metadata.namespace. */
const SELECTABLE: ReadonlyMap<string, readonly string[]> = new Map([
  [
    'pods',
    [
      'spec.nodeName',
      'spec.restartPolicy',
      'spec.schedulerName',
      'spec.serviceAccountName',
      'spec.hostNetwork',
      'status.phase',
      'status.podIP',
      'status.podIPs',
      'status.nominatedNodeName',
    ],
  ],
  ['events', EVENT_FIELDS],
  ['events.events.k8s.io', EVENTS_V1_FIELDS],
  ['namespaces', ['status.phase', 'name']],
  ['nodes', ['spec.unschedulable']],
  ['secrets', ['type']],
  ['services', ['spec.clusterIP', 'spec.type']],
  ['replicasets.apps', ['status.replicas']],
  ['replicationcontrollers', ['status.replicas']],
  ['jobs.batch', ['status.successful']],
]);

/**
 * The first field of a selector that objects of `resource` cannot be selected by, with the API server's text, or
 * undefined when all can. `custom` names the `selectableFields` of a custom resource without their leading dot.
 */
export function unsupportedField(
  resource: string,
  selector: FieldRequirements,
  custom: readonly string[] = [],
): string | undefined {
  const fields = SELECTABLE.get(resource) ?? custom;
  for (const { field } of selector) {
    if (field === 'metadata.name' || field === 'metadata.namespace' || fields.includes(field)) continue;
    // Built-in kinds with conversion functions of their own quote the label this way; the rest use the generic text.
    return SELECTABLE.has(resource)
      ? `field label not supported: ${field}`
      : `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
  }
  return undefined;
}

function child(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

/** The text a field of an object is compared by; absent fields are empty, booleans false. */
export function selectableValue(resource: string, object: unknown, field: string): string {
  if (resource === 'pods') {
    if (field === 'spec.hostNetwork') return child(child(object, 'spec'), 'hostNetwork') ? 'true' : 'false';
    if (field === 'status.podIPs') field = 'status.podIP';
  } else if (resource === 'nodes' && field === 'spec.unschedulable') {
    return child(child(object, 'spec'), 'unschedulable') ? 'true' : 'false';
  } else if (resource === 'namespaces' && field === 'name') {
    field = 'metadata.name';
  } else if (resource === 'events') {
    const reporting = child(object, 'reportingComponent');
    const source = child(child(object, 'source'), 'component');
    if (field === 'source') return String(source || reporting || '');
    if (field === 'reportingComponent') return String(reporting ?? '');
  } else if (resource === 'jobs.batch' && field === 'status.successful') {
    return String(child(child(object, 'status'), 'succeeded') ?? 0);
  } else if (field === 'status.replicas' && /^replica/.test(resource)) {
    return String(child(child(object, 'status'), 'replicas') ?? 0);
  }
  let value: unknown = object;
  for (const part of field.split('.')) value = child(value, part);
  return value === undefined || value === null ? '' : String(value);
}

export function matchesFieldSelector(
  resource: string,
  selector: FieldRequirements,
  object: unknown,
): boolean {
  return selector.every(
    ({ field, negated, value }) => (selectableValue(resource, object, field) === value) !== negated,
  );
}
