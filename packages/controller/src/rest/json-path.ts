/**
 * The part of Kubernetes' JSONPath that printer columns use: `.a.b`, `['a']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`, with or
 * without `$` and braces. Yields every value found; a path that cannot be read finds none.
 */
export function evaluateJsonPath(path: string, root: unknown): unknown[] {
  const steps = parse(path);
  if (steps === undefined) return [];
  let values: unknown[] = [root];
  for (const step of steps) values = values.flatMap(step);
  return values;
}

type Step = (value: unknown) => unknown[];

const TOKEN =
  /^(?:\.?\[\?\(@((?:\.[\w-]+|\['[^']*'\])+)\s*(==|!=)\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\)\]|\.?\[\*\]|\.\*|\.?\[(-?\d+)\]|\.?\['([^']*)'\]|\.?\["([^"]*)"\]|\.((?:\\.|[^.[\]\\])+))/;

const parsed = new Map<string, readonly Step[] | undefined>();

function parse(path: string): readonly Step[] | undefined {
  if (!parsed.has(path)) parsed.set(path, parseSteps(path));
  return parsed.get(path);
}

function parseSteps(path: string): readonly Step[] | undefined {
  let rest = path.replace(/^\{|\}$/g, '').replace(/^\$/, '');
  const steps: Step[] = [];
  while (rest !== '') {
    const match = TOKEN.exec(rest);
    if (match === null) return undefined;
    const [whole, filterPath, operator, double, single, bare, index, quoted, doubleQuoted, name] = match;
    rest = rest.slice(whole.length);
    if (filterPath !== undefined) {
      const inner = parseSteps(filterPath);
      if (inner === undefined) return undefined;
      const wanted = double ?? single ?? bare ?? '';
      steps.push((value) =>
        elements(value).filter((each) => {
          const found = inner.reduce<unknown[]>((values, step) => values.flatMap(step), [each]);
          return found.some((one) => String(one) === wanted) === (operator === '==');
        }),
      );
    } else if (index !== undefined) {
      const at = Number(index);
      steps.push((value) => (Array.isArray(value) ? present(value.at(at)) : []));
    } else if (quoted !== undefined || doubleQuoted !== undefined || name !== undefined) {
      const key = quoted ?? doubleQuoted ?? name!.replace(/\\(.)/g, '$1');
      steps.push((value) => member(value, key));
    } else steps.push(elements);
  }
  return steps;
}

function elements(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

function member(value: unknown, key: string): unknown[] {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return [];
  return present((value as Record<string, unknown>)[key]);
}

function present(value: unknown): unknown[] {
  return value === undefined || value === null ? [] : [value];
}
