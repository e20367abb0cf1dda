import { conformance } from './suite.ts';
import { veeamSubject } from './veeam.ts';

conformance('Veeam', veeamSubject);
