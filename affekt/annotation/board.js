// The live leaderboard: asks the server every two seconds, and redraws when something has changed.

import { Refused, ask, enter } from './entering.js';
import { begin as beginRanking, makeSortable } from './page.js';

const PAUSE_MS = 2000;
const one = (id) => document.getElementById(id);
const chosen = new Map();
let change = -1;

async function look() {
  try {
    const held = await ask(`/api/board?since=${change}`);
    if (held.html !== undefined) {
      const top = window.scrollY;
      one('board').innerHTML = held.html;
      makeSortable(one('board'), chosen);
      window.scrollTo(0, top);
      change = held.change;
      document.documentElement.dataset.votes = held.votes;
    }
    one('live').textContent = `live, ${document.documentElement.dataset.votes} votes`;
    one('banner').hidden = true;
  } catch (error) {
    one('live').textContent = 'not live';
    one('banner').textContent = error instanceof Refused ? error.message : 'The server does not answer. Trying again.';
    one('banner').hidden = false;
  }
  document.documentElement.dataset.ready = 'yes';
  setTimeout(look, PAUSE_MS);
}

beginRanking(document);
enter().catch(() => {}).then(look);
