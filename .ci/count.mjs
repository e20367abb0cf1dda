// Prints `N passed, N failed, N skipped` from the test runner's own report; no report, or no test, is a failure.
import { readFileSync } from 'node:fs';

let report;
try {
  report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
} catch {
  console.log('The test runner left no report.');
  console.log('0 passed, 1 failed, 0 skipped');
  process.exit(1);
}
const { numPassedTests: passed, numPendingTests: pending, numTodoTests: todo } = report;
// A file that could not be loaded counts as a failure even where it has no test of its own.
const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
const failed = report.numFailedTests + broken.length;
console.log(`${passed} passed, ${failed} failed, ${pending + todo} skipped`);
process.exit(passed > 0 && failed === 0 ? 0 : 1);
