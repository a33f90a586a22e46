// A vote is kept in the browser until the server says that it is on disk. A lost answer, a reload or a restart of the
// server only means that it is sent again with the same id, under which the server stores it once.

import { Refused, ask } from './entering.js';

const WAITS_MS = [300, 700, 1500, 3000, 5000];

// A key for each vote, so that two windows of one rater do not overwrite each other's.
const place = (rater, id) => `affekt vote ${JSON.stringify(rater)} ${id}`;

export function makeId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// Votes that were not acknowledged before the page was closed; damaged entries are removed.
export function unsent(rater) {
  const kept = [];
  for (const key of Object.keys(localStorage).filter((name) => name.startsWith(place(rater, '')))) {
    try {
      const [path, body] = JSON.parse(localStorage.getItem(key));
      if (typeof path === 'string' && body) kept.push([path, body]);
    } catch {
      localStorage.removeItem(key);
    }
  }
  return kept;
}

// A browser without free storage keeps the vote in the page only.
function keep(rater, path, body) {
  try {
    localStorage.setItem(place(rater, body.id), JSON.stringify([path, body]));
  } catch { /* it is sent anyway */ }
}

// Sends until it is acknowledged; `waiting` is called after every failed try. What the server refuses is dropped.
export async function send(rater, path, body, waiting) {
  keep(rater, path, body);
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await ask(path, body);
      if (answer.stored !== body.id) throw new TypeError('no acknowledgement');
      localStorage.removeItem(place(rater, body.id));
      return answer;
    } catch (error) {
      if (error instanceof Refused && error.status !== 503 && error.status !== 403) {
        localStorage.removeItem(place(rater, body.id));
        throw error;
      }
      waiting(error);
      await new Promise((done) => setTimeout(done, WAITS_MS[Math.min(tries, WAITS_MS.length - 1)]));
    }
  }
}
