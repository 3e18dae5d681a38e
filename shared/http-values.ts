/**
 * The values that travel through the HTTP door, as zod schemas, and how the compiler holds a schema to
 * a type. Never: what a request or an answer is as a whole.
 */
import * as z from 'zod';
import { instantOf } from './schedule-meaning.js';
import { datePattern } from './schedule-spec.js';

type Fixed<Type> = Type extends object ? { readonly [Key in keyof Type]: Fixed<Type[Key]> } : Type;

/** Compiles where a schema describes exactly that type, member by member. */
export function describes<Type>() {
  return <Schema extends z.ZodType<Type>>(
    schema: Schema & (Type extends Fixed<z.output<Schema>> ? unknown : never),
  ): Schema => schema;
}

export const count = z.int().min(0);
/** An instant as answers tell it. */
export const time = z.iso.datetime();
/** A day or a time of day as requests may tell it; UTC where it has no offset. */
export const instant = z
  .string()
  .max(40)
  .regex(datePattern, 'must be a date such as 2026-01-31 or a time such as 2026-01-31T06:00:00Z')
  .refine(isInstant, 'is not a day of the calendar')
  .describe('a day, or a time; UTC where it has no offset');
export const digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
export const requestId = z
  .string()
  .max(200)
  .default('')
  .describe('same id, same outcome: makes repeating the request safe; absent: a new one');

/** Numbers and words as they stand in a query string. */
export const number = (least: number, most: number) => z.coerce.number().int().min(least).max(most);
export const flag = (unless: 'true' | 'false') => z.enum(['true', 'false']).default(unless);

const file = z.strictObject({ digest, bytes: count, name: z.string().max(1000) });
/** Uploaded models and bundles, by the path that the spec names. */
export const files = z
  .record(z.string(), file.extend({ external: z.array(file).max(1000).default([]) }))
  .default({})
  .describe('uploaded models and bundles, by the path that the spec names');

function isInstant(text: string): boolean {
  try {
    instantOf(text, 'UTC');
    return true;
  } catch {
    return false;
  }
}
