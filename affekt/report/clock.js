// The one clock: the media element's own where there is one, otherwise a clock that runs by itself.

export function makeClock(media, duration) {
  const watchers = [];
  const state = { time: 0, rate: 1, running: false, since: 0, frame: 0 };
  const clamp = (time) => Math.max(0, Math.min(duration, time));

  function now() {
    if (media && media.readyState > 0) return clamp(media.currentTime);
    return clamp(
      state.running && !media ? state.time + ((performance.now() - state.since) / 1000) * state.rate : state.time,
    );
  }
  function tell() {
    for (const watcher of watchers) watcher(now(), playing());
  }
  function tick() {
    if (!media && now() >= duration) pause();
    tell();
    state.frame = playing() ? requestAnimationFrame(tick) : 0;
  }
  function wake() {
    if (!state.frame) state.frame = requestAnimationFrame(tick);
  }
  function playing() {
    return media ? !media.paused && !media.ended : state.running;
  }
  function seek(time) {
    state.time = clamp(time);
    state.since = performance.now();
    // A hair inside the last frame: players blank out at the very end.
    if (media) media.currentTime = Math.min(state.time, Math.max(0, (media.duration || duration) - 0.01));
    tell();
  }
  function play() {
    if (now() >= duration - 0.02) seek(0);
    if (media) media.play().catch(() => tell());
    else {
      state.since = performance.now();
      state.running = duration > 0;
      wake();
    }
  }
  function pause() {
    state.time = now();
    state.running = false;
    if (media) media.pause();
    tell();
  }
  function setRate(rate) {
    state.time = now();
    state.since = performance.now();
    state.rate = rate;
    if (media) media.playbackRate = rate;
  }
  if (media) {
    for (const event of ['play', 'playing']) media.addEventListener(event, wake);
    for (const event of ['seeked', 'pause', 'ended', 'loadeddata']) media.addEventListener(event, tell);
    // Seeks made before the media was readable are remembered.
    media.addEventListener('loadedmetadata', () => {
      if (state.time) media.currentTime = state.time;
    });
  }
  return {
    now,
    seek,
    play,
    pause,
    playing,
    setRate,
    duration,
    toggle: () => (playing() ? pause() : play()),
    watch: (watcher) => {
      watchers.push(watcher);
      watcher(now(), playing());
    },
    rate: () => state.rate,
  };
}
