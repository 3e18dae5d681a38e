import { expect, test } from 'vitest';
import { edits, peerNames, peerQueryText } from '../../../bench/peers/tpch-dialects.js';
import { queryNumbers, queryText } from '../../../bench/tpch/queries.js';

test.each(peerNames)('%s is asked the very queries except where its dialect says so', (peer) => {
  const edited = new Set(edits[peer].map(({ query }) => query));
  for (const number of queryNumbers) {
    const same = peerQueryText(peer, number, 10) === queryText(number, 10);
    expect(same, `query ${number}`).toBe(!edited.has(number));
  }
});

test('nothing of what is exchanged is left in the text', () => {
  const text = peerQueryText('daft', 22, 1);
  expect(text).not.toContain('from 1 for 2');
  expect(text.match(/substring\(c_phone, 1, 2\)/g)).toHaveLength(3);
});
