// Turns the token in the link's fragment into a cookie, and takes it out of the address bar.

export class Refused extends Error {}

export async function ask(path, body) {
  const options = body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(path, { ...options, cache: 'no-store' });
  const held = await answer.json().catch(() => ({}));
  if (answer.ok) return held;
  const refused = new Refused(held.error || (typeof held.detail === 'string' ? held.detail : `the server said ${answer.status}`));
  refused.status = answer.status;
  throw refused;
}

export async function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return;
  await ask('/api/enter', { token });
  history.replaceState(null, '', location.pathname);
}
