// Sorts tables by their heads and switches the theme; without it everything stands in the order of the ranking.

export function begin(root) {
  const theme = root.getElementById('theme');
  if (theme) {
    theme.hidden = false;
    theme.addEventListener('click', () => {
      const page = document.documentElement.dataset;
      const isDark = page.theme ? page.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
      page.theme = isDark ? 'light' : 'dark';
    });
  }
  makeSortable(root);
  document.documentElement.dataset.ready = 'yes';
}

// Puts a button into each head that has words; `chosen` keeps the order over a redraw.
export function makeSortable(root, chosen = new Map()) {
  root.querySelectorAll('table.sortable').forEach((table, number) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const words = head.textContent.trim();
      if (!words || head.classList.contains('plot')) return;
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = words;
      button.addEventListener('click', () => {
        const isDescending = head.ariaSort ? head.ariaSort !== 'descending' : head.classList.contains('number') && words !== 'rank';
        chosen.set(number, [column, isDescending]);
        sortBy(table, column, isDescending);
      });
      head.replaceChildren(button);
    });
    if (chosen.has(number)) sortBy(table, ...chosen.get(number));
  });
}

function sortBy(table, column, isDescending) {
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [key(row.cells[column]), row]);
  keyed.sort(([a], [b]) => compare(a, b, isDescending));
  body.append(...keyed.map(([, row]) => row));
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    head.ariaSort = at === column ? (isDescending ? 'descending' : 'ascending') : null;
  });
}

// What is no number goes last, either way.
function compare(a, b, isDescending) {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  const order = typeof a === 'number' ? a - b : a.localeCompare(b);
  return isDescending ? -order : order;
}

function key(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = text === 'inf' ? Infinity : Number.parseFloat(text);
  return Number.isNaN(number) ? text : number;
}
