import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attribute,
  child,
  descendants,
  element,
  inOrder,
  parseXml,
  textOf,
  withChild,
  xmlDocument,
} from '../../../activities/backup-systems/veeam/xml.ts';

describe('reading XML', () => {
  test('keeps names, order and text as they are', () => {
    const job = parseXml(
      '\n<?xml version="1.0"?><j:Job xmlns:j="x" Name="a &quot;b&quot; &amp; c"><Id>007</Id><!-- no --><Days>Sunday</Days><Days>Monday</Days><Empty/></j:Job>'.trim(),
    );
    expect(job.name).toBe('Job');
    expect(attribute(job, 'name')).toBe('a "b" & c');
    expect(job.children.map(({ name }) => name)).toEqual(['Id', 'Days', 'Days', 'Empty']);
    expect(textOf(job, 'Id')).toBe('007');
    expect(textOf(job, 'Empty')).toBeUndefined();
    expect([...descendants(job, 'Days')].map(({ text }) => text)).toEqual(['Sunday', 'Monday']);
  });

  test('finds names in any case', () => {
    expect(textOf(parseXml('<A><CreationTimeUtc>x</CreationTimeUtc></A>'), 'CreationTimeUTC')).toBe('x');
  });

  test.each([
    ['', 'nothing'],
    ['Service Unavailable', 'text'],
    ['{"Message":"Node [root] does not exist."}', 'JSON'],
    ['<html><br></html>', 'a page'],
    ['<a/><b/>', 'two roots'],
    ['<!DOCTYPE a [<!ENTITY e "boo">]><a>&e;</a>', 'entities of its own'],
  ])('refuses %j: %s', (text) => {
    expect(() => parseXml(text)).toThrow(Error);
  });
});

describe('writing XML', () => {
  test('is in the namespace, in the order given', () => {
    const spec = element('Spec', [
      element('B', 'x'),
      element('A'),
      element('C', [element('D', '1')], { Enabled: 'true' }),
    ]);
    expect(xmlDocument(spec)).toBe(
      '<?xml version="1.0" encoding="utf-8"?><Spec xmlns="http://www.veeam.com/ent/v1.0"><B>x</B><A/><C Enabled="true"><D>1</D></C></Spec>',
    );
  });

  test('comes back as it was, whatever is in it', () => {
    const text = fc
      .string({ unit: 'grapheme' })
      .filter((value) => value === value.trim() && !/[^\t\n\r\u0020-\uFFFD\u{10000}-\u{10FFFF}]/u.test(value));
    fc.assert(
      fc.property(text, text, (content, value) => {
        const read = parseXml(xmlDocument(element('A', [element('B', content, { V: value })])));
        expect(child(read, 'B')).toMatchObject({ text: content, attributes: { V: value } });
      }),
    );
  });

  test('leaves out what XML cannot hold', () => {
    expect(xmlDocument(element('A', 'a\u0000b'))).toContain('>ab<');
  });
});

test('children are put in the order of a schema, and replaced where they stand', () => {
  const parent = element('P', [element('C'), element('A', '1'), element('X'), element('A', '2')]);
  expect(inOrder(parent.children, ['A', 'B', 'C']).map(({ name, text }) => name + text)).toEqual([
    'A1',
    'A2',
    'C',
    'X',
  ]);
  expect(withChild(parent, element('A', '3')).children.map(({ text }) => text)).toEqual(['', '3', '', '2']);
  expect(withChild(parent, element('B')).children.at(-1)?.name).toBe('B');
});
