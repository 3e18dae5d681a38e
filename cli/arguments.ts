/** Reads the values of flags; each answers with the value or an E_USAGE that shows a right one. */
import { readFileSync } from 'node:fs';
import { parseByteSize } from '../shared/byte-size.js';
import { parseDurationMs } from '../shared/duration.js';
import { isToken, splitAddress } from '../shared/endpoints.js';
import { instantOf } from '../shared/schedule-meaning.js';
import { WindrowError } from '../shared/failure.js';
import { usageError } from './exit.js';

/** A repeatable flag. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** As `collect`, of what has to be something. */
export function collectNames(flag: string) {
  return (text: string, before: readonly string[] | undefined): string[] => {
    if (text.trim() === '') throw usageError(`${flag} is empty`, 'give it a name');
    return collect(text, before);
  };
}

export function wholeNumber(flag: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw usageError(
        `${flag} ${text} is not a whole number from ${String(least)} to ${String(most)}`,
      );
    }
    return value;
  };
}

export function oneOf<const Word extends string>(
  flag: string,
  words: readonly Word[],
): (text: string) => Word {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) {
      throw usageError(`${flag} ${text} is unknown`, `use one of ${words.join(', ')}`);
    }
    return found;
  };
}

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `10m`, `1h30m`, `500ms`, a bare number of seconds, or ISO 8601 such as `PT10M`; in ms. */
export function duration(flag: string): (text: string) => number {
  return (text) => {
    if (text.startsWith('P')) return asFlag(flag, text, parseDurationMs);
    if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
    if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text) {
      throw usageError(`${flag} ${text} is not a duration`, 'write it as 30s, 10m, 1h30m or PT10M');
    }
    return parts.reduce((sum, part) => sum + Number(part[1]) * durationUnits[part[2]!]!, 0);
  };
}

/** A date or time such as `2026-01-31` or `2026-01-31T06:00:00Z`, UTC unless it says otherwise; in ms. */
export function instant(flag: string): (text: string) => number {
  return (text) => asFlag(flag, text, (time) => instantOf(time, 'UTC'));
}

/** `4GiB`, `500MB` or a bare number of bytes. */
export function byteSize(flag: string): (text: string) => number {
  return (text) => asFlag(flag, text, parseByteSize);
}

/** Shared parsers speak of specs; on the command line it is a flag that is wrong. */
function asFlag<Value>(flag: string, text: string, parse: (text: string) => Value): Value {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof WindrowError)) throw error;
    throw usageError(`${flag}: ${error.failure.message}`, error.failure.hint);
  }
}

/** Where a server is called: `unix:PATH` or HOST:PORT. */
export function serverAddress(flag: string, text: string): string {
  if (!/^unix:./.test(text)) asFlag(flag, text, splitAddress);
  return text;
}

/** A secret from a file, without the line end an editor adds. */
export function readToken(flag: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw usageError(
      `${flag} ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const hint = 'put the token there, on one line, and nothing else';
  if (text === '') throw usageError(`${flag} ${path} is empty`, hint);
  if (!isToken(text)) {
    throw usageError(`${flag} ${path} has more than a token of ASCII characters`, hint);
  }
  return text;
}

export interface TlsFlags {
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** Paths of PEM files for a client; undefined means plaintext. */
export function clientTls(
  flags: TlsFlags,
): { ca?: string; cert?: string; key?: string } | undefined {
  const { tlsCa: ca, tlsCert: cert, tlsKey: key } = flags;
  if ((cert === undefined) !== (key === undefined)) {
    throw usageError('--tls-cert and --tls-key belong together', 'give both or none of them');
  }
  if (ca === undefined && cert === undefined) return undefined;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** Paths of PEM files for a listener: certificate and key are needed, a client CA is not. */
export function serverTls(flags: TlsFlags): { cert: string; key: string; ca?: string } | undefined {
  const tls = clientTls(flags);
  if (!tls) return undefined;
  const { cert, key, ca } = tls;
  if (cert === undefined || key === undefined) {
    throw usageError('--tls-ca alone does not make a listener', 'give --tls-cert and --tls-key');
  }
  return { cert, key, ...(ca === undefined ? {} : { ca }) };
}
