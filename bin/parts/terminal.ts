/**
 * The lines that `npm start` prints: aligned, one for each part, in colour on a terminal only.
 * @module
 */
import { styleText } from 'node:util';

const NAME_WIDTH = 12;
const TEXT_WIDTH = 72;

/** Where the lines go. */
export interface Terminal {
  /** A part is up, or has been stopped; with how long that took. */
  line(name: string, text: string, milliseconds?: number): void;
  /** Something that takes a while: on a terminal the next line replaces it. */
  progress(name: string, text: string): void;
  /** A part died, or something else that the reader should see. */
  warning(name: string, text: string): void;
  /** A line of the closing block, or an empty one. */
  text(text?: string): void;
}

/** @param output usually `process.stdout`. */
export function openTerminal(output: NodeJS.WriteStream): Terminal {
  let unfinished = false;
  const erase = () => (unfinished && output.isTTY ? '\r\u001b[2K' : '');
  const paint = (style: Parameters<typeof styleText>[0], text: string) => styleText(style, text, { stream: output });
  const write = (text: string) => {
    output.write(`${erase()}${text}\n`);
    unfinished = false;
  };
  const label = (name: string) => `  ${name.padEnd(NAME_WIDTH)} `;
  return {
    line(name, text, milliseconds) {
      const duration = milliseconds === undefined ? undefined : `${(milliseconds / 1_000).toFixed(1).padStart(6)} s`;
      write(label(name) + (duration === undefined ? text : text.padEnd(TEXT_WIDTH) + paint('dim', duration)));
    },
    progress(name, text) {
      output.write(`${erase()}${label(name)}${text}${output.isTTY ? '' : '\n'}`);
      unfinished = true;
    },
    warning(name, text) {
      write(`${label(name)}${paint('yellow', text)}`);
    },
    text(text = '') {
      write(text);
    },
  };
}
