/**
 * The workflows of the bench's worker: the product's, and the baseline in the same bundle.
 * @module
 */
export { baseline } from './baseline-workflow.ts';
export * from '../../workflows/index.ts';
