import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LogLines } from '../../coordinator/log-lines.js';
import { attemptKey, jobId, stageId } from '../../shared/ids.js';

let directory: string;
let lines: LogLines;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-lines-'));
  lines = new LogLines(directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const files = () => join(directory, 'logs', 'jobs');
const entry = (job: string, text: string) => ({
  timeMs: 1,
  level: 'info',
  workerId: 'w1',
  text: `${job}/s0/0/1 ${text}`,
});
const textsOf = (job: string, from = lines) => from.of(job).map(({ text }) => text);

it('lines are there for the next process, also behind half a line that a kill left', () => {
  lines.add(entry('j1', 'one'));
  lines.add(entry('j2', 'of another'));
  lines.add({ ...entry('j1', ''), text: 'refused: nobody, ../../x/s0/0/1 speaks' });
  lines.flush();
  expect(readdirSync(files()).sort()).toEqual(['j1.ndjson', 'j2.ndjson']);
  appendFileSync(join(files(), 'j1.ndjson'), '\n{"timeMs":1,"lev');
  const next = new LogLines(directory);
  expect(textsOf('j1', next)).toEqual(['j1/s0/0/1 one']);
  next.add(entry('j1', 'two'));
  expect(textsOf('j1', next)).toEqual(['j1/s0/0/1 one', 'j1/s0/0/1 two']);
  expect(textsOf('j3')).toEqual([]);
});

it('lines of all stages are there, those that only carry rows among them', () => {
  const ref = { jobId: jobId('j1'), task: 3, attempt: 1 };
  const texts = ['s0', 's0_1', 's12_34'].map((stage) =>
    attemptKey({ ...ref, stageId: stageId(stage) }),
  );
  for (const text of texts) lines.add({ ...entry('j1', ''), text });
  expect(textsOf('j1')).toEqual(texts);
});

it('of a job that says much the newest lines are kept, of many jobs the newest jobs', () => {
  const long = 'x'.repeat(10_000);
  for (let k = 0; k < 300; k += 1) {
    lines.add(entry('j1000', `${k} ${long}`));
    lines.flush();
  }
  expect(statSync(join(files(), 'j1000.ndjson')).size).toBeLessThan(600_000);
  const kept = textsOf('j1000').map((text) => Number(text.split(' ')[1]));
  expect(kept.at(-1)).toBe(299);
  expect(kept.length).toBeGreaterThan(20);
  expect(kept).toEqual(kept.map((_, index) => kept[0]! + index));
  for (let k = 1_001; k <= 2_000; k += 1) writeFileSync(join(files(), `j${k}.ndjson`), '');
  lines.add(entry('j2001', 'short'));
  expect(textsOf('j2001')).toEqual(['j2001/s0/0/1 short']);
  const left = readdirSync(files()).sort();
  expect([left.length, left[0]]).toEqual([1_000, 'j1002.ndjson']);
});

it('who follows hears what there is and what comes, each once, until the job ends', async () => {
  let lives = true;
  const heard: string[] = [];
  lines.add(entry('j1', 'before'));
  const never = new AbortController().signal;
  const followed = lines.follow('j1', () => lives, 0, never);
  heard.push((await followed.next()).value!.text);
  lines.add(entry('j1', 'while'));
  lines.add(entry('j2', 'of another'));
  const rest = (async () => {
    for await (const { text } of followed) heard.push(text);
  })();
  lines.add(entry('j1', 'last'));
  lives = false;
  lines.ended('j1');
  await rest;
  expect(heard).toEqual(['before', 'while', 'last'].map((text) => `j1/s0/0/1 ${text}`));
  // Of a job that has ended before.
  const late = lines.follow('j1', () => lives, 0, never);
  for (const text of heard) expect((await late.next()).value!.text).toBe(text);
  expect((await late.next()).done).toBe(true);
});

it('who followed an earlier coordinator goes on after the last line it heard', async () => {
  let nowMs = 5_000;
  const first = new LogLines(directory, () => nowMs);
  for (const text of ['one', 'two']) first.add(entry('j1', text));
  const [one, two] = first.of('j1');
  expect(two!.seq).toBeGreaterThan(one!.seq);
  // Said and heard, but not written before it was killed.
  const unwritten = two!.seq + 1;
  nowMs += 1;
  const second = new LogLines(directory, () => nowMs);
  second.add(entry('j1', 'three'));
  const after = async (seq: number) => {
    const texts: string[] = [];
    for await (const { text } of second.follow(
      'j1',
      () => false,
      seq,
      new AbortController().signal,
    )) {
      texts.push(text.split(' ')[1]!);
    }
    return texts;
  };
  expect(await after(one!.seq)).toEqual(['two', 'three']);
  expect(await after(unwritten)).toEqual(['three']);
});
