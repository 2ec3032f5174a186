/**
 * The name formats of Kubernetes with the texts of their errors (apimachinery `pkg/util/validation/validation.go`).
 * Each `…Errors` function returns what is wrong with a value, one text per rule; an empty list means it is right.
 */
const QUALIFIED_NAME = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const QUALIFIED_NAME_TEXT =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const LABEL_VALUE = `(${QUALIFIED_NAME})?`;
const LABEL_VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const DNS1123_LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const DNS1123_LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const DNS1123_SUBDOMAIN = `${DNS1123_LABEL}(\\.${DNS1123_LABEL})*`;
const DNS1123_SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const DNS1035_LABEL = '[a-z]([-a-z0-9]*[a-z0-9])?';
const DNS1035_LABEL_TEXT =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const WILDCARD_SUBDOMAIN = `\\*\\.${DNS1123_SUBDOMAIN}`;
const WILDCARD_SUBDOMAIN_TEXT =
  "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
const CONFIG_MAP_KEY = '[-._a-zA-Z0-9]+';
const CONFIG_MAP_KEY_TEXT = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
const C_IDENTIFIER = '[A-Za-z_][A-Za-z0-9_]*';
const C_IDENTIFIER_TEXT =
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
const ENV_NAME = '[-._a-zA-Z][-._a-zA-Z0-9]*';
const ENV_NAME_TEXT =
  "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit";
const HTTP_HEADER = '[-A-Za-z0-9]+';
const HTTP_HEADER_TEXT = "a valid HTTP header must consist of alphanumeric characters or '-'";
const PERCENT = '[0-9]+%';
const PERCENT_TEXT = "a valid percent string must be a numeric string followed by an ending '%'";

const DNS1123_LABEL_MAX_LENGTH = 63;
const DNS1123_SUBDOMAIN_MAX_LENGTH = 253;

const QUALIFIED_NAME_PATTERN = new RegExp(`^${QUALIFIED_NAME}$`);
const LABEL_VALUE_PATTERN = new RegExp(`^${LABEL_VALUE}$`);
const DNS1123_LABEL_PATTERN = new RegExp(`^${DNS1123_LABEL}$`);
const DNS1123_SUBDOMAIN_PATTERN = new RegExp(`^${DNS1123_SUBDOMAIN}$`);
const DNS1035_LABEL_PATTERN = new RegExp(`^${DNS1035_LABEL}$`);
const WILDCARD_SUBDOMAIN_PATTERN = new RegExp(`^${WILDCARD_SUBDOMAIN}$`);
const CONFIG_MAP_KEY_PATTERN = new RegExp(`^${CONFIG_MAP_KEY}$`);
const C_IDENTIFIER_PATTERN = new RegExp(`^${C_IDENTIFIER}$`);
const ENV_NAME_PATTERN = new RegExp(`^${ENV_NAME}$`);
const HTTP_HEADER_PATTERN = new RegExp(`^${HTTP_HEADER}$`);
const PERCENT_PATTERN = new RegExp(`^${PERCENT}$`);

/** `must be no more than 63 characters`, though bytes are counted. */
export function maxLengthText(length: number): string {
  return `must be no more than ${length} characters`;
}

export const EMPTY_TEXT = 'must be non-empty';

/** `must be between 1 and 65535, inclusive`. */
export function inclusiveRangeText(low: number, high: number): string {
  return `must be between ${low} and ${high}, inclusive`;
}

/** Names a format, examples of it and the expression that checks it. */
export function regexText(text: string, expression: string, ...examples: string[]): string {
  const quoted = examples.map((example) => `'${example}', `).join(' or ');
  const shown = examples.length > 0 ? `e.g. ${quoted}` : '';
  return `${text} (${shown}regex used for validation is '${expression}')`;
}

function byteLength(text: string): number {
  return Buffer.byteLength(text);
}

/** A label key: `name` or `dns.subdomain/name`. */
export function qualifiedNameErrors(value: string): string[] {
  const parts = value.split('/');
  const example = regexText(QUALIFIED_NAME_TEXT, QUALIFIED_NAME, 'MyName', 'my.name', '123-abc');
  if (parts.length > 2) {
    return [
      `a qualified name ${example} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const errors: string[] = [];
  const name = parts.at(-1) as string;
  if (parts.length === 2) {
    const prefix = parts[0] as string;
    if (prefix === '') errors.push(`prefix part ${EMPTY_TEXT}`);
    else errors.push(...dns1123SubdomainErrors(prefix).map((text) => `prefix part ${text}`));
  }
  if (name === '') errors.push(`name part ${EMPTY_TEXT}`);
  else if (byteLength(name) > 63) errors.push(`name part ${maxLengthText(63)}`);
  if (!QUALIFIED_NAME_PATTERN.test(name)) errors.push(`name part ${example}`);
  return errors;
}

export function labelValueErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > 63) errors.push(maxLengthText(63));
  if (!LABEL_VALUE_PATTERN.test(value)) {
    errors.push(regexText(LABEL_VALUE_TEXT, LABEL_VALUE, 'MyValue', 'my_value', '12345'));
  }
  return errors;
}

/** One DNS label, digits may lead: namespaces, port names of Services, container names. */
export function dns1123LabelErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > DNS1123_LABEL_MAX_LENGTH) errors.push(maxLengthText(DNS1123_LABEL_MAX_LENGTH));
  if (!DNS1123_LABEL_PATTERN.test(value)) {
    if (DNS1123_SUBDOMAIN_PATTERN.test(value)) errors.push('must not contain dots');
    else errors.push(regexText(DNS1123_LABEL_TEXT, DNS1123_LABEL, 'my-name', '123-abc'));
  }
  return errors;
}

/** Dotted DNS labels: the names of most objects. */
export function dns1123SubdomainErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > DNS1123_SUBDOMAIN_MAX_LENGTH) {
    errors.push(maxLengthText(DNS1123_SUBDOMAIN_MAX_LENGTH));
  }
  if (!DNS1123_SUBDOMAIN_PATTERN.test(value)) {
    errors.push(regexText(DNS1123_SUBDOMAIN_TEXT, DNS1123_SUBDOMAIN, 'example.com'));
  }
  return errors;
}

/** One DNS label that starts with a letter: Service names. */
export function dns1035LabelErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > DNS1123_LABEL_MAX_LENGTH) errors.push(maxLengthText(DNS1123_LABEL_MAX_LENGTH));
  if (!DNS1035_LABEL_PATTERN.test(value)) {
    errors.push(regexText(DNS1035_LABEL_TEXT, DNS1035_LABEL, 'my-name', 'abc-123'));
  }
  return errors;
}

/** `*.example.com`: Ingress hosts. */
export function wildcardSubdomainErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > DNS1123_SUBDOMAIN_MAX_LENGTH) {
    errors.push(maxLengthText(DNS1123_SUBDOMAIN_MAX_LENGTH));
  }
  if (!WILDCARD_SUBDOMAIN_PATTERN.test(value)) {
    errors.push(regexText(WILDCARD_SUBDOMAIN_TEXT, WILDCARD_SUBDOMAIN, '*.example.com'));
  }
  return errors;
}

export function cIdentifierErrors(value: string): string[] {
  if (C_IDENTIFIER_PATTERN.test(value)) return [];
  return [regexText(C_IDENTIFIER_TEXT, C_IDENTIFIER, 'my_name', 'MY_NAME', 'MyName')];
}

export function portNumberErrors(port: number): string[] {
  return port >= 1 && port <= 65535 ? [] : [inclusiveRangeText(1, 65535)];
}

/** An IANA service name (RFC 6335 section 5.1): the names of container ports. */
export function portNameErrors(name: string): string[] {
  const errors: string[] = [];
  if (byteLength(name) > 15) errors.push(maxLengthText(15));
  if (!/^[-a-z0-9]+$/.test(name)) {
    errors.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  }
  if (!/[a-z]/.test(name)) errors.push('must contain at least one letter (a-z)');
  if (name.includes('--')) errors.push('must not contain consecutive hyphens');
  if (name !== '' && (name.startsWith('-') || name.endsWith('-'))) {
    errors.push('must not begin or end with a hyphen');
  }
  return errors;
}

export function percentErrors(value: string): string[] {
  return PERCENT_PATTERN.test(value) ? [] : [regexText(PERCENT_TEXT, PERCENT, '1%', '93%')];
}

export function httpHeaderNameErrors(value: string): string[] {
  return HTTP_HEADER_PATTERN.test(value) ? [] : [regexText(HTTP_HEADER_TEXT, HTTP_HEADER, 'X-Header-Name')];
}

/** Names that double as file names may not climb out of their folder. */
function dotErrors(value: string): string[] {
  if (value === '.') return ["must not be '.'"];
  if (value === '..') return ["must not be '..'"];
  if (value.startsWith('..')) return ["must not start with '..'"];
  return [];
}

export function environmentNameErrors(value: string): string[] {
  const errors = ENV_NAME_PATTERN.test(value)
    ? []
    : [regexText(ENV_NAME_TEXT, ENV_NAME, 'my.env-name', 'MY_ENV.NAME', 'MyEnvName1')];
  return [...errors, ...dotErrors(value)];
}

export function configMapKeyErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > DNS1123_SUBDOMAIN_MAX_LENGTH) {
    errors.push(maxLengthText(DNS1123_SUBDOMAIN_MAX_LENGTH));
  }
  if (!CONFIG_MAP_KEY_PATTERN.test(value)) {
    errors.push(regexText(CONFIG_MAP_KEY_TEXT, CONFIG_MAP_KEY, 'key.name', 'KEY_NAME', 'key-name'));
  }
  return [...errors, ...dotErrors(value)];
}

/** What may stand in a URL path: the names of RBAC objects. */
export function pathSegmentErrors(value: string): string[] {
  if (value === '.' || value === '..') return [`may not be '${value}'`];
  const errors: string[] = [];
  if (value.includes('/')) errors.push("may not contain '/'");
  if (value.includes('%')) errors.push("may not contain '%'");
  return errors;
}
