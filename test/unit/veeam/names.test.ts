import { describe, expect, test } from 'vitest';
import { apiAddress, pathOf, repairedEndpoint } from '../../../activities/backup-systems/veeam/endpoint.ts';
import {
  description,
  isJobName,
  isMarked,
  isOfOtherTemplate,
  jobName,
  LONGEST_JOB_NAME,
} from '../../../activities/backup-systems/veeam/names.ts';
import {
  guidOf,
  isOfType,
  keptReference,
  sameUrn,
  vmParts,
  vmReferenceOf,
} from '../../../activities/backup-systems/veeam/urn.ts';

const VM = '0198a1b2-0000-7000-8000-0123456789ab';
const OTHER = '0198a1b2-0000-7000-8000-0123456789ac';

describe('the name of a job', () => {
  test('holds the VM’s id and fits', () => {
    const name = jobName('holdfast-{vmId}', VM);
    expect(name).toBe(`holdfast-${VM}`);
    expect(name.length).toBeLessThanOrEqual(LONGEST_JOB_NAME);
  });

  test('is known again, and no other is', () => {
    expect(isJobName('holdfast-{vmId}', `holdfast-${VM}`)).toBe(true);
    expect(isJobName('a {vmId} z', `a ${VM} z`)).toBe(true);
    for (const name of [`holdfast-${VM}x`, `x-holdfast-${VM}`, 'holdfast-GOLD', VM, 'holdfast-', '', undefined]) {
      expect(isJobName('holdfast-{vmId}', name)).toBe(false);
    }
  });
});

describe('the marker', () => {
  test('is of one VM, whatever else a description says', () => {
    expect(isMarked(description(VM, 'GOLD'), VM)).toBe(true);
    expect(isMarked(`do not touch!\n[HOLDFAST VM=${VM.toUpperCase()}]`, VM)).toBe(true);
    expect(isMarked(description(OTHER, 'GOLD'), VM)).toBe(false);
    expect(isMarked(VM, VM)).toBe(false);
    expect(isMarked(undefined, VM)).toBe(false);
  });

  test('tells another template, and nothing when it names none', () => {
    expect(isOfOtherTemplate(description(VM, 'GOLD'), 'gold')).toBe(false);
    expect(isOfOtherTemplate(description(VM, 'GOLD'), 'SILVER')).toBe(true);
    expect(isOfOtherTemplate(description(VM, 'GOLD-2'), 'GOLD')).toBe(true);
    expect(isOfOtherTemplate(`[holdfast vm=${VM}]`, 'SILVER')).toBe(false);
  });
});

describe('a reference', () => {
  test('is kept in one spelling, its parts as the server gave them', () => {
    expect(keptReference('urn:VMware:VM:0D7E-aa.vm-123')).toBe('urn:VMware:Vm:0D7E-aa.vm-123');
    expect(vmParts('urn:vmware:vm:root.vm-1')).toEqual({ rootId: 'root', moref: 'vm-1' });
    expect(vmReferenceOf({ rootId: 'root', moref: 'vm-1' })).toBe('urn:VMware:Vm:root.vm-1');
    for (const other of ['urn:HyperV:Vm:a.b', 'urn:VMware:Folder:a.group-v1', '', undefined]) {
      expect(keptReference(other)).toBeUndefined();
    }
  });

  test('is compared without case', () => {
    expect(sameUrn('urn:veeam:Job:ABC', 'URN:VEEAM:job:abc')).toBe(true);
    expect(sameUrn(undefined, undefined)).toBe(false);
    expect(isOfType('urn:veeam:restoresession:1', 'RestoreSession')).toBe(true);
    expect(guidOf('https://x/api/tasks/d1b85018-2769-45be-89bc-03f66b60e6cb?a=1')).toBe(
      'd1b85018-2769-45be-89bc-03f66b60e6cb',
    );
  });
});

describe('the endpoint', () => {
  test.each([
    ['https://em:9398/api/', undefined],
    ['https://em:9398/api', 'https://em:9398/api/'],
    ['https://em:9398', 'https://em:9398/api/'],
    ['https://em:9398/', 'https://em:9398/api/'],
    [' https://em:9398/proxy/API// ', 'https://em:9398/proxy/API/'],
  ])('%s is repaired to %s', (endpoint, right) => {
    expect(repairedEndpoint({ name: 'veeam-1', endpoint })).toBe(right);
  });

  test('is needed', () => {
    expect(() => apiAddress({ name: 'veeam-1', endpoint: null })).toThrow(expect.objectContaining({ kind: 'REFUSED' }));
  });

  test.each([
    ['http://localhost:9399/api/query?type=Job&page=2', '/query?type=Job&page=2'],
    ['https://em/proxy/api/jobs/1', '/jobs/1'],
    ['/api/jobs/1', '/jobs/1'],
    ['https://evil.example/other', undefined],
  ])('never follows the host of the link %s', (href, path) => {
    expect(pathOf(href)).toBe(path);
  });
});
