import { expect, it } from 'vitest';
import { bearerIn, staysOnMachine, tokenMatches } from '../../shared/endpoints.js';

it.each(['unix:/tmp/w.sock', 'localhost:1', 'localhost', '127.8.0.1:70', '127.0.0.1', '[::1]:1'])(
  'what is said to %s stays on the machine',
  (address) => expect(staysOnMachine(address)).toBe(true),
);

it.each([
  '10.0.0.5:1',
  '10.0.0.5',
  'localhost.example.com:1',
  '127.0.0.1.example.com:1',
  '[::2]:1',
  '::1',
  'localhost:1:2',
  'evil/localhost',
  '',
])('what is said to "%s" may leave it', (address) => expect(staysOnMachine(address)).toBe(false));

it.each([
  ['Bearer secret', 'secret'],
  ['bearer secret', 'secret'],
  ['secret', ''],
  ['Basic secret', ''],
  ['', ''],
  [undefined, ''],
])('the token in %j is "%s"', (header, token) => expect(bearerIn(header)).toBe(token));

it('a token matches itself alone, and none matches nothing', () => {
  expect(tokenMatches('secret', 'secret')).toBe(true);
  for (const [given, wanted] of [
    ['secret', 'other'],
    ['', 'secret'],
    ['', ''],
  ] as const) {
    expect(tokenMatches(given, wanted)).toBe(false);
  }
});
