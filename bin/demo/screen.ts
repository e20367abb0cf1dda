/**
 * What the demo prints: scenes with a heading, lines, tables, and one line of progress while something is waited for.
 * Plain text where the output is no terminal.
 * @module
 */
import { styleText } from 'node:util';

const INDENT = '     ';
/** Where the output is no terminal, progress is told when nothing else was for this long. Milliseconds. */
const PLAIN_PROGRESS_MS = 5_000;

type Style = Parameters<typeof styleText>[0];

/** Where the demo speaks. */
export interface Screen {
  title(text: string): void;
  /** Begins a scene: its number, its name, and what it is about. */
  scene(number: number, name: string, about: string): void;
  line(text?: string): void;
  /** Something to be read beside the story. */
  aside(text: string): void;
  /** A fact that was looked at, and whether it is as it should be. */
  fact(good: boolean, text: string): void;
  table(rows: readonly (readonly string[])[]): void;
  /** What is waited for; on a terminal the next line replaces it. */
  progress(text: string): void;
}

/** @param output usually `process.stdout`. */
export function openScreen(output: NodeJS.WriteStream): Screen {
  let unfinished = false;
  let toldAt = Date.now();
  const paint = (style: Style, text: string) => styleText(style, text, { stream: output });
  const write = (text: string) => {
    output.write(`${unfinished ? '\r\u001b[2K' : ''}${text}\n`);
    unfinished = false;
    toldAt = Date.now();
  };
  return {
    title: (text) => write(`\n${paint('bold', text)}`),
    scene(number, name, about) {
      write(`\n${paint(['bold', 'cyan'], ` ${String(number).padStart(2)}  ${name}`)}`);
      write(`${INDENT}${paint('dim', about)}`);
    },
    line: (text = '') => write(text === '' ? '' : `${INDENT}${text}`),
    aside: (text) => write(`${INDENT}${paint('dim', text)}`),
    fact: (good, text) => write(` ${good ? paint('green', ' ok') : paint('red', 'NOT')} ${text}`),
    table(rows) {
      for (const line of aligned(rows)) write(`${INDENT}${line}`);
    },
    progress(text) {
      if (output.isTTY) {
        // A line that wraps could not be erased.
        const room = Math.max(20, output.columns - INDENT.length - 1);
        output.write(
          `\r\u001b[2K${INDENT}${paint('yellow', text.length > room ? `${text.slice(0, room - 1)}…` : text)}`,
        );
        unfinished = true;
      } else if (Date.now() - toldAt > PLAIN_PROGRESS_MS) {
        output.write(`${INDENT}${text}\n`);
        toldAt = Date.now();
      }
    },
  };
}

/** The rows with their columns under each other. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
