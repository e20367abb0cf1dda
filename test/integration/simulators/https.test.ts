import { once } from 'node:events';
import { get } from 'node:https';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import type { RunningSimulator } from '../../../simulators/kit/server.ts';
import { startVeeamSimulator } from '../../../simulators/veeam/start.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../plugins/test-certificate.ts';

const certificate = { key: TEST_KEY, cert: TEST_CERTIFICATE };

let hypervisor: RunningSimulator;
beforeEach(async () => {
  hypervisor = await startHypervisorSimulator();
});
afterEach(() => hypervisor.close());

test.each([
  ['Avamar', startAvamarSimulator, '/api/v1/system/about-information'],
  ['Veeam', startVeeamSimulator, '/api/'],
])('the %s simulator speaks https with a certificate of its own', async (_, start, path) => {
  const simulator = await start({ vcenterUrl: hypervisor.url, certificate });
  try {
    expect(simulator.url).toMatch(/^https:/);
    const trusting = get(simulator.url + path, { ca: TEST_CERTIFICATE, agent: false });
    const [response] = await once(trusting, 'response');
    response.resume();
    expect(response.statusCode).toBe(200);
    const distrusting = get(simulator.url + path, { agent: false });
    await expect(once(distrusting, 'response')).rejects.toThrow(/self-signed/);
  } finally {
    await simulator.close();
  }
});
