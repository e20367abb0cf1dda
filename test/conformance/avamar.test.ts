import { avamarSubject } from './avamar.ts';
import { conformance } from './suite.ts';

conformance('Avamar', avamarSubject);
