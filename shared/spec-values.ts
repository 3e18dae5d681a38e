/** The values that specs are made of, as zod schemas. Never: what a field is for. */
import * as z from 'zod';
import { byteSizeMax, byteSizePattern } from './byte-size.js';
import { durationPattern } from './duration.js';

export const identifier = z
  .string()
  .regex(/^[A-Za-z_]\w*$/, 'must be letters, digits and _, not starting with a digit')
  .max(200);
export const path = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^[^\0]*$/, 'must not contain a NUL character');
export const sqlText = z.string().min(1).max(200_000);
export const duration = z
  .string()
  .max(100)
  .regex(durationPattern, 'must be an ISO 8601 duration such as PT30M');
export const byteSize = z.union([
  z.int().min(1).max(byteSizeMax),
  z.string().max(100).regex(byteSizePattern, 'must be a size such as 256MB'),
]);
export const paramValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);
