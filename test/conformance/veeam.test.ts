import { conformance } from './suite.ts';
import { realVeeam, veeamSubject } from './veeam.ts';

conformance('Veeam', veeamSubject);

const real = realVeeam();
if (real !== undefined) conformance('Veeam, a real server', real);
