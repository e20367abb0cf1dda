// Older npm links no `node` where two platform packages offer one. The npm scripts need it first on their path.
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const modules = new URL('../node_modules/', import.meta.url);
const binary = `node-${process.platform}-${process.arch}/bin/node`;
const link = fileURLToPath(new URL('.bin/node', modules));

if (existsSync(new URL(binary, modules)) && !existsSync(link)) {
  mkdirSync(fileURLToPath(new URL('.bin/', modules)), { recursive: true });
  symlinkSync(`../${binary}`, link);
}
