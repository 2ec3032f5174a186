import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatLabelSelector,
  matchesFieldSelector,
  matchesLabelSelector,
  matchesRequirements,
  matchesSelectorMap,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
  unsupportedField,
} from '../src/selectors.ts';

const web = { app: 'web', tier: 'front', gen: '7' };

describe('label selector text', () => {
  test.each([
    ['', true],
    ['app', true],
    ['app=web', true],
    ['app==web', true],
    [' app = web , tier != back ', true],
    ['app!=web', false],
    ['missing!=web', true],
    ['!missing', true],
    ['!app', false],
    ['tier in (front, back)', true],
    ['tier in (back)', false],
    ['tier notin (back),app=web', true],
    ['missing notin (a)', true],
    ['missing in (a)', false],
    ['gen>6,gen<8', true],
    ['gen>7', false],
    ['app>1', false],
    ['app=', false],
    ['in in (in)', false],
  ])('%j matches: %s', (text, expected) => {
    expect(matchesRequirements(parseLabelSelector(text), web)).toBe(expected);
  });

  test('empty values', () => {
    expect(parseLabelSelector('x in (foo,,baz),y,z notin ()')).toEqual([
      { key: 'x', operator: 'in', values: ['', 'baz', 'foo'] },
      { key: 'y', operator: 'exists', values: [] },
      { key: 'z', operator: 'notin', values: [''] },
    ]);
  });

  test.each([
    ['=', "found '=', expected: !, identifier, or 'end of string'"],
    ['a,', "found '', expected: identifier after ','"],
    ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ['a=b c', "found 'c', expected: ',' or 'end of string'"],
    ['a in b', "unable to parse requirement: found 'b' expected: '('"],
    ['a>b', /values\[0\]: Invalid value: "b": for 'Gt', 'Lt' operators, the value must be an integer/],
    ['a/b/c', /Invalid value: "a\/b\/c": a qualified name must consist of/],
    ['a=-b', /a valid label must be an empty string or consist of alphanumeric characters/],
  ])('%j is refused', (text, message) => {
    expect(() => parseLabelSelector(text)).toThrow(message);
    expect(() => parseLabelSelector(text)).toThrow(SelectorError);
  });

  test('any text parses or is refused with a SelectorError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-c=!(),<> in]{0,20}$/)), (text) => {
        for (const parse of [parseLabelSelector, parseFieldSelector]) {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(SelectorError);
          }
        }
      }),
    );
  });
});

describe('label selector objects', () => {
  test.each([
    [undefined, false],
    [null, false],
    [{}, true],
    [{ matchLabels: { app: 'web' } }, true],
    [{ matchLabels: { app: 'db' } }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'db'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, false],
    [{ matchExpressions: [{ key: 'none', operator: 'NotIn', values: ['web'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'Like', values: ['w'] }] }, false],
    [{ matchLabels: { toString: 'x' } }, false],
  ])('%j matches: %s', (selector, expected) => {
    expect(matchesLabelSelector(selector as never, web)).toBe(expected);
  });

  test('a Service without a selector selects nothing', () => {
    expect(matchesSelectorMap(undefined, web)).toBe(false);
    expect(matchesSelectorMap({}, web)).toBe(false);
    expect(matchesSelectorMap({ app: 'web' }, web)).toBe(true);
    expect(matchesSelectorMap({ app: 'web' }, undefined)).toBe(false);
  });

  test('text form', () => {
    const selector = {
      matchLabels: { b: '2', a: '1' },
      matchExpressions: [
        { key: 'c', operator: 'In', values: ['y', 'x'] },
        { key: 'd', operator: 'DoesNotExist' },
      ],
    };
    expect(formatLabelSelector(selector)).toBe('a=1,b=2,c in (x,y),!d');
    expect(formatLabelSelector(undefined)).toBe('');
  });

  test('the text form selects what the object selects', () => {
    const label = fc.constantFrom('a', 'b');
    const value = fc.constantFrom('1', '2', '');
    const labels = fc.dictionary(label, value);
    const expression = fc.oneof(
      fc.record({
        key: label,
        operator: fc.constantFrom('In', 'NotIn'),
        values: fc.array(value, { minLength: 1 }),
      }),
      fc.record({ key: label, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
    );
    const selector = fc.record({
      matchLabels: labels,
      matchExpressions: fc.array(expression, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(selector, labels, (object, of) => {
        const text = parseLabelSelector(formatLabelSelector(object));
        expect(matchesRequirements(text, of)).toBe(matchesLabelSelector(object, of));
      }),
    );
  });
});

describe('field selectors', () => {
  const pod = {
    metadata: { name: 'p', namespace: 'default' },
    spec: { nodeName: 'node-1', hostNetwork: true },
    status: { phase: 'Running', podIP: '10.244.1.2' },
  };

  test.each([
    ['', true],
    ['metadata.name=p', true],
    ['metadata.name!=p', false],
    ['metadata.namespace==default,spec.nodeName=node-1', true],
    ['status.phase=Running,status.phase!=Failed', true],
    ['spec.hostNetwork=true', true],
    ['status.podIP=10.244.1.3', false],
    ['spec.schedulerName=', true],
  ])('%j matches the pod: %s', (text, expected) => {
    expect(matchesFieldSelector('pods', parseFieldSelector(text), pod)).toBe(expected);
  });

  test('events are found by what they are about', () => {
    const event = {
      involvedObject: { kind: 'Pod', name: 'p', uid: 'u' },
      source: { component: 'scheduler' },
      type: 'Normal',
    };
    const text =
      'involvedObject.name=p,involvedObject.kind=Pod,involvedObject.uid=u,source=scheduler,type!=Warning';
    expect(unsupportedField('events', parseFieldSelector(text))).toBeUndefined();
    expect(matchesFieldSelector('events', parseFieldSelector(text), event)).toBe(true);
  });

  test('escapes', () => {
    expect(parseFieldSelector('a=x\\,y\\=z\\\\')).toEqual([{ field: 'a', negated: false, value: 'x,y=z\\' }]);
    expect(() => parseFieldSelector('a=b=c')).toThrow(
      'invalid field selector: unescaped character in value: 61',
    );
    expect(() => parseFieldSelector('a=\\x')).toThrow('invalid field selector: invalid escape sequence: \\x');
    expect(() => parseFieldSelector('a')).toThrow("invalid selector: 'a'; can't understand 'a'");
  });

  test('unknown fields are named', () => {
    expect(unsupportedField('pods', parseFieldSelector('spec.foo=1'))).toBe(
      'field label not supported: spec.foo',
    );
    expect(unsupportedField('configmaps', parseFieldSelector('data=1'))).toContain(
      '"data" is not a known field',
    );
    expect(
      unsupportedField('widgets.example.com', parseFieldSelector('spec.color=1'), ['spec.color']),
    ).toBeUndefined();
  });
});
