import { avamarSubject, realAvamar } from './avamar.ts';
import { conformance } from './suite.ts';

conformance('Avamar', avamarSubject);

const real = realAvamar();
if (real !== undefined) conformance('Avamar, a real server', real);
