import { expect, it } from 'vitest';
import { Turns } from '../../../coordinator/commit/turns.js';

function held(): { until: Promise<void>; letGo: () => void } {
  let letGo = (): void => undefined;
  const until = new Promise<void>((resolve) => (letGo = resolve));
  return { until, letGo };
}

it('actions without a key run one at a time, in the order asked for', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const first = held();
  const one = turns.run(async () => {
    await first.until;
    order.push('one');
  });
  const two = turns.run(async () => void order.push('two'));
  first.letGo();
  await Promise.all([one, two]);
  expect(order).toEqual(['one', 'two']);
});

it('only those that share a key wait for each other', async () => {
  const turns = new Turns();
  const first = held();
  const one = turns.run(() => first.until, ['name a', 'output x']);
  let sharedRan = false;
  const shared = turns.run(async () => void (sharedRan = true), ['name b', 'output x']);
  // Ends while the first is held: the test would time out otherwise.
  await turns.run(async () => undefined, ['name c', 'output y']);
  expect(sharedRan).toBe(false);
  first.letGo();
  await Promise.all([one, shared]);
  expect(sharedRan).toBe(true);
});

it('two that name the same keys in another order do not wait for each other for ever', async () => {
  const turns = new Turns();
  const both = [
    turns.run(async () => 'ab', ['a', 'b']),
    turns.run(async () => 'ba', ['b', 'a']),
    turns.run(async () => 'aa', ['a', 'a']),
  ];
  expect(await Promise.all(both)).toEqual(['ab', 'ba', 'aa']);
});

it('a turn that fails lets the next one go', async () => {
  const turns = new Turns();
  const failing = turns.run(() => Promise.reject(new Error('no')), ['a']);
  const next = turns.run(async () => 'yes', ['a']);
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('yes');
});
