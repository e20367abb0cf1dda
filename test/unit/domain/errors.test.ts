import { describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode, errorDefinition, HoldfastError, isErrorCode } from '../../../domain/errors.ts';

const codes = Object.keys(ERRORS) as ErrorCode[];

describe('the catalogue of errors', () => {
  test.each(codes)('%s has a status of an error and a title that can stand alone', (code) => {
    const { status, title } = errorDefinition(code);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(title).toMatch(/^[A-Z].*[^.\s]$/);
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
  });

  test('has no legacy code and no title twice', () => {
    const legacy = codes.map((code) => errorDefinition(code).legacy).filter((code) => code !== undefined);
    const titles = codes.map((code) => errorDefinition(code).title);
    expect(new Set(legacy).size).toBe(legacy.length);
    expect(new Set(titles).size).toBe(titles.length);
  });

  test('keeps the codes by which people who come from Abiquo find their way', () => {
    expect(errorDefinition('BACKUP_ONDEMAND_NOT_SUPPORTED').legacy).toBe('BC-46');
    expect(errorDefinition('BACKUP_WEEKLY_WITHOUT_DAY').legacy).toBe('BC-19');
    expect(errorDefinition('VM_LOCKED').legacy).toBe('VM-2');
  });

  test('knows its own codes and no others', () => {
    for (const code of codes) expect(isErrorCode(code)).toBe(true);
    for (const other of ['', 'FENCED', 'vm_locked', 'toString', '__proto__']) expect(isErrorCode(other)).toBe(false);
  });

  test('has every code that a hypervisor’s or a backup system’s error becomes', () => {
    const both = ['HYPERVISOR', 'BACKUP_SYSTEM'].flatMap((system) =>
      ['REFUSED', 'UNREACHABLE', 'FAILED'].map((ending) => `${system}_${ending}`),
    );
    for (const code of [...both, 'BACKUP_SYSTEM_LOGIN_REFUSED']) expect(isErrorCode(code)).toBe(true);
  });
});

test('an error carries what its reader needs', () => {
  const problem = { pointer: '/name', detail: 'it is taken', code: 'VM_NAME_IN_USE' };
  const error = new HoldfastError('VM_NAME_IN_USE', 'Acme has a web-1', { vmId: '1' }, [problem]);
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    code: 'VM_NAME_IN_USE',
    message: 'Acme has a web-1',
    extra: { vmId: '1' },
    problems: [problem],
  });
  expect(new HoldfastError('INTERNAL', 'why')).toMatchObject({ extra: {}, problems: [] });
});
