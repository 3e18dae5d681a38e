/** Calls one webhook of this machine and prints how that went. */
import { postWebhook } from '../../../coordinator/schedules/webhook-post.js';

const [url = ''] = process.argv.slice(2);
const { signal } = new AbortController();
postWebhook({ url, body: '{}', timeoutMs: 60_000, allowPrivate: true, signal }).then(
  () => process.stdout.write('told'),
  (error: Error) => process.stdout.write(error.message),
);
