import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonEquals } from '../src/object.ts';
import { applyJsonPatch, JsonPatchError } from '../src/patch/json-patch.ts';
import { createMergePatch, mergePatch } from '../src/patch/merge-patch.ts';

describe('JSON patch: RFC 6902 appendix A', () => {
  test.each<[string, unknown, unknown[], unknown]>([
    [
      'A.1 add a member',
      { foo: 'bar' },
      [{ op: 'add', path: '/baz', value: 'qux' }],
      { baz: 'qux', foo: 'bar' },
    ],
    [
      'A.2 add an array element',
      { foo: ['bar', 'baz'] },
      [{ op: 'add', path: '/foo/1', value: 'qux' }],
      { foo: ['bar', 'qux', 'baz'] },
    ],
    ['A.3 remove a member', { baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [
      'A.4 remove an element',
      { foo: ['a', 'b', 'c'] },
      [{ op: 'remove', path: '/foo/1' }],
      { foo: ['a', 'c'] },
    ],
    [
      'A.5 replace',
      { baz: 'q', foo: 'b' },
      [{ op: 'replace', path: '/baz', value: 'boo' }],
      { baz: 'boo', foo: 'b' },
    ],
    [
      'A.6 move a value',
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      'A.7 move an element',
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [
      'A.8 test a value',
      { baz: 'qux', foo: ['a', 2, 'c'] },
      [
        { op: 'test', path: '/baz', value: 'qux' },
        { op: 'test', path: '/foo/1', value: 2 },
      ],
      { baz: 'qux', foo: ['a', 2, 'c'] },
    ],
    [
      'A.10 add a nested object',
      { foo: 'bar' },
      [{ op: 'add', path: '/child', value: { grandchild: {} } }],
      { foo: 'bar', child: { grandchild: {} } },
    ],
    [
      'A.11 ignore unrecognized elements',
      { foo: 'bar' },
      [{ op: 'add', path: '/baz', value: 'qux', xyz: 123 }],
      { foo: 'bar', baz: 'qux' },
    ],
    [
      'A.14 tilde escapes',
      { '/': 9, '~1': 10 },
      [{ op: 'test', path: '/~01', value: 10 }],
      { '/': 9, '~1': 10 },
    ],
    [
      'A.16 add an array value',
      { foo: ['bar'] },
      [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }],
      { foo: ['bar', ['abc', 'def']] },
    ],
    ['replace the root', { a: 1 }, [{ op: 'replace', path: '', value: 5 }], 5],
    ['copy', { a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
  ])('%s', (_, document, patch, expected) => {
    const before = structuredClone(document);
    expect(applyJsonPatch(document, patch)).toEqual(expected);
    expect(document).toEqual(before);
  });

  test.each<[string, unknown, unknown, boolean]>([
    ['A.9 failed test', { baz: 'qux' }, [{ op: 'test', path: '/baz', value: 'bar' }], false],
    ['A.12 no target', { foo: 'bar' }, [{ op: 'add', path: '/baz/bat', value: 'qux' }], false],
    ['A.15 string is not number', { '~1': 10 }, [{ op: 'test', path: '/~01', value: '10' }], false],
    ['index out of range', { a: [1] }, [{ op: 'add', path: '/a/2', value: 1 }], false],
    ['index with leading zero', { a: [1, 2] }, [{ op: 'remove', path: '/a/01' }], false],
    [
      'removed twice',
      { a: 1 },
      [
        { op: 'remove', path: '/a' },
        { op: 'remove', path: '/a' },
      ],
      false,
    ],
    ['move into a child', { a: { b: 1 } }, [{ op: 'move', from: '/a', path: '/a/b/c' }], false],
    ['replace what is not there', {}, [{ op: 'replace', path: '/a', value: 1 }], false],
    ['inherited member', {}, [{ op: 'remove', path: '/toString' }], false],
    ['not an array', {}, { op: 'add' }, true],
    ['unknown operation', {}, [{ op: 'spam', path: '/a' }], true],
    ['no value', {}, [{ op: 'add', path: '/a' }], true],
    ['no slash', {}, [{ op: 'add', path: 'a', value: 1 }], true],
    ['no path', {}, [{ op: 'remove' }], true],
    ['no from', {}, [{ op: 'move', path: '/a' }], true],
    ['null', {}, [null], true],
    ['too many', {}, Array.from({ length: 10_001 }, () => ({ op: 'test', path: '', value: {} })), true],
  ])('refused: %s', (_, document, patch, malformed) => {
    try {
      applyJsonPatch(document, patch);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(JsonPatchError);
      expect((error as JsonPatchError).malformed).toBe(malformed);
    }
  });

  test('a member called __proto__ is only a member', () => {
    const result = applyJsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: true } }]);
    expect(Object.hasOwn(result as object, '__proto__')).toBe(true);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('any JSON as a patch fits or is refused with a JsonPatchError', () => {
    const operation = fc.record({
      op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'),
      path: fc.constantFrom('', '/a', '/a/0', '/a/-', '/b/c', '/~0', 'a'),
      from: fc.constantFrom('', '/a', '/a/1', '/b'),
      value: fc.jsonValue(),
    });
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.array(fc.oneof(operation, fc.jsonValue()), { maxLength: 5 }),
        (document, patch) => {
          const before = JSON.stringify(document);
          try {
            applyJsonPatch(document, patch);
          } catch (error) {
            expect(error).toBeInstanceOf(JsonPatchError);
          }
          expect(JSON.stringify(document)).toBe(before);
        },
      ),
    );
  });
});

describe('merge patch', () => {
  // RFC 7386 appendix A, line by line.
  test.each<[unknown, unknown, unknown]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j is %j', (target, patch, expected) => {
    const before = structuredClone(target);
    expect(mergePatch(target, patch)).toEqual(expected);
    expect(target).toEqual(before);
  });

  test('a created patch leads from one object to the other', () => {
    const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        fc.integer(),
        fc.string(),
        fc.array(fc.integer()),
        fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), tie('node')),
      ),
    })).node;
    const object = fc.dictionary(fc.constantFrom('a', 'b', 'c'), value);
    fc.assert(
      fc.property(object, object, (from, to) => {
        const patch = createMergePatch(from, to);
        expect(patch === undefined).toBe(jsonEquals(from, to));
        if (patch !== undefined) expect(jsonEquals(mergePatch(from, patch), to)).toBe(true);
      }),
    );
  });
});
