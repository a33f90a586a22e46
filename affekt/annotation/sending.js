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

let latest = 0;
const moment = () => { latest = Math.max(Date.now(), latest + 1); return latest; };

// Votes that were not acknowledged before the page was closed, in the order in which they were made; damaged entries
// are removed.
export function unsent(rater) {
  const kept = [];
  for (const key of Object.keys(localStorage).filter((name) => name.startsWith(place(rater, '')))) {
    try {
      const [path, body, made] = JSON.parse(localStorage.getItem(key));
      if (typeof path === 'string' && body) kept.push([path, body, made || 0]);
    } catch {
      localStorage.removeItem(key);
    }
  }
  return kept.sort((first, second) => first[2] - second[2]);
}

// Keeps a vote that is to be sent later; a browser without free storage keeps it in the page only.
export function keep(rater, path, body) {
  const key = place(rater, body.id);
  try {
    if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify([path, body, moment()]));
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
