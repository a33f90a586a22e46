// Shows a clip: video, sound or picture, with replay, speed, and how much of it was played.

const SPEEDS = [0.5, 0.75, 1, 1.5, 2];
const one = (id) => document.getElementById(id);
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

export function makePlayer() {
  const [watch, stage, seek, speed] = ['watch', 'stage', 'seek', 'speed'].map(one);
  let media = null;
  let hasNoClip = true;

  const draw = () => {
    const length = media && Number.isFinite(media.duration) ? media.duration : 0;
    const now = media ? media.currentTime : 0;
    seek.value = length ? Math.round((now / length) * 1000) : 0;
    seek.setAttribute('aria-valuetext', `${clock(now)} of ${clock(length)}`);
    one('time').textContent = `${clock(now)} / ${clock(length)}`;
    one('play-word').textContent = media && !media.paused ? 'Pause' : 'Play';
  };
  const setSpeed = (value) => {
    speed.value = String(value);
    if (media) media.playbackRate = value;
  };
  const play = () => media && media.play().catch(() => draw());

  const player = {
    show(clip) {
      if (media) media.pause();
      const label = 'The clip to be described';
      hasNoClip = !clip;
      watch.className = `watch ${clip ? { video: 'seen', audio: 'sound', image: 'still' }[clip.kind] : 'none'}`;
      one('controls').hidden = !clip || clip.kind === 'image';
      media = null;
      stage.replaceChildren();
      if (!clip) return;
      const shown = document.createElement({ video: 'video', audio: 'audio', image: 'img' }[clip.kind]);
      shown.src = clip.url;
      if (clip.kind === 'image') {
        shown.alt = label;
      } else {
        shown.setAttribute('aria-label', label);
        shown.playsInline = true;
        shown.preload = 'auto';
        for (const name of ['timeupdate', 'play', 'pause', 'ended', 'loadedmetadata', 'durationchange']) shown.addEventListener(name, draw);
        shown.addEventListener('error', () => { stage.textContent = 'The clip cannot be played here. Skip it, please.'; });
        shown.addEventListener('click', () => player.toggle());
        shown.defaultPlaybackRate = Number(speed.value);
        media = shown;
      }
      stage.append(shown);
      if (clip.kind === 'audio') {
        const words = document.createElement('p');
        words.className = 'wave';
        words.textContent = 'Sound only: listen.';
        stage.append(words);
      }
      if (media) {
        media.playbackRate = Number(speed.value);
        play();
      }
      draw();
    },
    toggle() {
      if (media) media.paused ? play() : media.pause();
    },
    replay() {
      if (!media) return;
      media.currentTime = 0;
      play();
    },
    faster(by) {
      const at = SPEEDS.indexOf(Number(speed.value)) + by;
      if (at >= 0 && at < SPEEDS.length) setSpeed(SPEEDS[at]);
    },
    stop: () => media && media.pause(),
    // Share of the clip that was played at least once; 1 for a picture, 0 where there is no clip.
    watched() {
      if (!media) return hasNoClip ? 0 : 1;
      let played = 0;
      for (let at = 0; at < media.played.length; at += 1) played += media.played.end(at) - media.played.start(at);
      return media.duration > 0 ? Math.min(1, played / media.duration) : 0;
    },
  };
  one('play').addEventListener('click', player.toggle);
  one('replay').addEventListener('click', player.replay);
  speed.addEventListener('change', () => setSpeed(Number(speed.value)));
  seek.addEventListener('input', () => {
    if (media && media.duration > 0) media.currentTime = (seek.value / 1000) * media.duration;
  });
  return player;
}
