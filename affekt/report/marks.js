// Marks: elements, colours, numbers. Nothing here ever parses a string as markup: recordings are hostile input.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') Object.entries(value).forEach(([key, to]) => element.style.setProperty(key, to));
    else if (name === 'text') element.textContent = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.flat(Infinity));
  return element;
}

export const CODES = {
  anger: 'An',
  disgust: 'Di',
  fear: 'Fe',
  happiness: 'Ha',
  sadness: 'Sa',
  surprise: 'Su',
  neutral: 'Ne',
};
export const SOURCES = {
  fused: { title: 'Together', sign: '' },
  face: { title: 'Face', sign: '●' },
  voice: { title: 'Voice', sign: '▲' },
  words: { title: 'Words', sign: '■' },
};

// ---- colours of the current theme, as [r, g, b]

const INKS = ['surface', 'ink', 'soft', 'faint', 'line', 'wash', 'low', 'mid', 'high', 'w-face', 'w-voice', 'w-words'];
export const ink = { ratio: 0 };
const shades = new Map();

export function readInks(names) {
  const style = getComputedStyle(document.documentElement);
  shades.clear();
  ink.sans = style.getPropertyValue('--sans');
  for (const name of INKS) ink[name] = hexToRgb(style.getPropertyValue(`--${name}`));
  for (const name of names) ink[name] = hexToRgb(style.getPropertyValue(`--c-${name}`) || '#888888');
}

function hexToRgb(text) {
  const hex = text.trim().slice(1);
  return [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

export const mix = (from, to, share) => from.map((value, i) => value + (to[i] - value) * share);
export const css = (rgb, alpha = 1) => `rgb(${rgb.map(Math.round).join(' ')} / ${alpha})`;

// Diverging: blue below zero, grey at zero, orange above. Readable with any colour vision; words name both ends.
// The root spreads the small values that most readings have.
export const valenceInk = (v) => mix(ink.mid, v < 0 ? ink.low : ink.high, Math.sqrt(Math.min(1, Math.abs(v))));

export const type = (size, weight = 400) => `${weight} ${size}px ${ink.sans}`;
export const part = (category) => h('i', { class: 'swatch', style: { background: `var(--c-${category})` } });

// A category laid over the surface, in steps of a hundredth; strings are made once per theme.
export function shade(category, alpha) {
  const key = category + Math.round(alpha * 100);
  if (!shades.has(key)) shades.set(key, css(mix(ink.surface, ink[category], alpha)));
  return shades.get(key);
}

export const opacityOf = (certainty) => 0.26 + 0.74 * Math.max(0, Math.min(1, certainty));

function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const s = value / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const BLACK = [0, 0, 0];
const WHITE = [255, 255, 255];

// The ink, black or white, that reads best on a colour laid over the surface.
export function inkOn(rgb, alpha) {
  const light = luminance(mix(ink.surface, rgb, alpha));
  const onBlack = (light + 0.05) / (luminance(BLACK) + 0.05);
  return onBlack >= 1.05 / (light + 0.05) ? BLACK : WHITE;
}

// ---- numbers, always with the same number of places so that columns align

const MINUS = '\u2212';

export function clockTime(seconds, tenths = true) {
  // Fractions are cut off, as players and affekt.wording.clock do: a moment never reads as later than it is.
  const whole = Math.max(0, tenths ? Math.floor(seconds * 10 + 1e-5) / 10 : Math.floor(seconds + 1e-6));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = (whole % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

export const percent = (share) => `${Math.round(share * 100)}\u2009%`;
export function signed(value) {
  const size = Math.abs(value).toFixed(2);
  return size === '0.00' ? size : (value < 0 ? MINUS : '+') + size;
}

export function lengthOf(seconds) {
  if (seconds < 59.95) return `${seconds.toFixed(1)}\u2009s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}\u2009min ${String(whole % 60).padStart(2, '0')}\u2009s`;
}

export function plainNumber(value) {
  if (typeof value !== 'number') return String(value);
  if (!Number.isFinite(value)) return 'not measured';
  const size = Math.abs(value);
  const text = Number.isInteger(value) ? String(size) : size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return (value < 0 && Number(text) ? MINUS : '') + text;
}

const UNITS = { px: 'px', deg: '°', db: 'dB', lufs: 'LUFS', hz: 'Hz', st: 'semitones', s: 's', per_s: 'per s' };

// Columns whose own name would say more than they measure (raised mouth corners are no smile yet), or nothing to a reader.
const CALLED = {
  smile: 'mouth corners raised',
  snr_db: 'signal over noise',
  f0_mean_hz: 'mean pitch',
  f0_sd_st: 'spread of pitch',
};

// A column of a table as a name and a number with its unit, which stands at the end of the column's name.
export function told(name, value) {
  if (['valence', 'arousal', 'liveliness'].includes(name)) return [name, signed(value)];
  const found = name.match(/^(.+?)_(px|deg|db|lufs|hz|st|per_s|s)$/);
  const unit = found ? UNITS[found[2]] : '';
  return [
    CALLED[name] || (found ? found[1] : name).replaceAll('_', ' '),
    plainNumber(value) + (unit === '°' || !unit ? unit : `\u2009${unit}`),
  ];
}

// Text that breaks between words only: never inside a compound, nor between a number and its per cent.
export const unbroken = (text) => text.replace(/(\w)-(?=\w)/g, '$1\u2011').replace(/(\d) %/g, '$1\u00a0%');

export const sentenceCase = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// A canvas sized in CSS pixels and drawn at the screen's own resolution; returns its context, scaled and cleared.
export function fitCanvas(canvas, width, height) {
  const ratio = ink.ratio || window.devicePixelRatio || 1;
  const [w, t] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== t) {
    canvas.width = w;
    canvas.height = t;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
