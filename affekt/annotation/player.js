// Shows a clip (video, audio or image), with replay and speed, and records what of it was played, seen and heard.

const SPEEDS = [0.5, 0.75, 1, 1.5, 2];
const RETRY_MS = 1500;
const LONG_WITHOUT_FRAME_S = 1;
const one = (id) => document.getElementById(id);
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

function length(ranges) {
  let seconds = 0;
  for (let at = 0; at < ranges.length; at += 1) seconds += ranges.end(at) - ranges.start(at);
  return seconds;
}

// `changed` is called when a clip becomes ready, or turns out not to play; `state` is waiting, ready or broken.
export function makePlayer(changed) {
  const [watch, stage, seek, speed] = ['watch', 'stage', 'seek', 'speed'].map(one);
  let media = null;
  let clip = null;
  let wasHeard = false;
  let wasMuted = false;
  let heardOnly = 'nothing'; // of a clip that turned out not to play

  // A clip may be a segment of its file.
  const start = () => (clip && clip.end ? clip.start : 0);
  const end = () => (clip && clip.end ? Math.min(clip.end, media.duration) : media.duration);
  const halt = () => {
    if (media && clip.end && media.currentTime >= clip.end) media.pause();
  };

  const draw = () => {
    const length = media && Number.isFinite(media.duration) ? end() - start() : 0;
    const now = media ? Math.max(0, media.currentTime - start()) : 0;
    seek.value = length ? Math.round((now / length) * 1000) : 0;
    seek.setAttribute('aria-valuetext', `${clock(now)} of ${clock(length)}`);
    one('time').textContent = `${clock(now)} / ${clock(length)}`;
    one('play-word').textContent = media && !media.paused ? 'Pause' : 'Play';
  };
  const setSpeed = (value) => {
    speed.value = String(value);
    if (media) media.playbackRate = value;
  };
  const play = () => {
    if (!media) return;
    if (clip.end && (media.currentTime < clip.start - 0.05 || media.currentTime >= clip.end)) media.currentTime = clip.start;
    media.play().catch(() => draw());
  };

  const turn = (state, why) => {
    if (player.state === state) return;
    player.state = state;
    if (state === 'broken') explain(why);
    changed();
  };
  const explain = (why) => {
    if (media) {
      media.pause();
      heardOnly = wasHeard && hasSound() ? 'sound' : 'nothing';
      media = null;
    }
    const words = document.createElement('p');
    words.className = 'wave';
    words.setAttribute('role', 'alert');
    words.textContent = `This clip cannot be played here: ${why}. Skip it, please.`;
    stage.replaceChildren(words);
    watch.className = 'watch broken';
    one('controls').hidden = true;
  };

  // A browser plays the audio of a video that it cannot decode over a black image, without an error.
  const check = (shown) => {
    if (shown.parentNode !== stage) return;
    if (clip.kind === 'audio') {
      turn('ready');
      return;
    }
    const frames = shown.getVideoPlaybackQuality ? shown.getVideoPlaybackQuality().totalVideoFrames : 1;
    const isBlack = frames === 0 && length(shown.played) > LONG_WITHOUT_FRAME_S && document.visibilityState === 'visible';
    if (shown.videoWidth === 0 || isBlack) turn('broken', 'this browser cannot show its video');
    else if (shown.readyState >= 2) turn('ready');
  };

  // A clip is requested again while the server does not send it; one that is sent and cannot be played is broken.
  const fail = async (shown, url) => {
    const isCut = shown.error && shown.error.code === MediaError.MEDIA_ERR_NETWORK;
    const answer = isCut ? null : await fetch(url, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
    if (shown.parentNode !== stage) return;
    if (answer && answer.status < 500) {
      turn('broken', answer.ok ? 'this browser does not know its format, or it is damaged' : 'the server does not have it');
    } else {
      setTimeout(() => { if (shown.parentNode === stage) shown.src = url; }, RETRY_MS);
    }
  };
  const hear = () => {
    if (!media || media.paused) return;
    if (media.muted || media.volume === 0) wasMuted = true;
    else wasHeard = true;
  };
  const hasSound = () => {
    if (clip.kind === 'audio') return true;
    if (media.webkitAudioDecodedByteCount !== undefined) return media.webkitAudioDecodedByteCount > 0;
    if (media.mozHasAudio !== undefined) return media.mozHasAudio;
    return !media.audioTracks || media.audioTracks.length > 0;
  };

  const player = {
    state: 'waiting',
    show(next) {
      if (media) media.pause();
      const label = 'The clip to be described';
      clip = next;
      media = null;
      wasHeard = wasMuted = false;
      heardOnly = 'nothing';
      player.state = clip ? 'waiting' : 'ready';
      watch.className = `watch ${clip ? { video: 'seen', audio: 'sound', image: 'still' }[clip.kind] : 'none'}`;
      one('controls').hidden = !clip || clip.kind === 'image';
      stage.replaceChildren();
      if (!clip) return;
      const shown = document.createElement({ video: 'video', audio: 'audio', image: 'img' }[clip.kind]);
      const { url } = clip;
      shown.addEventListener('error', () => fail(shown, url));
      if (clip.kind === 'image') {
        shown.alt = label;
        shown.addEventListener('load', () => { if (shown.parentNode === stage) turn('ready'); });
      } else {
        shown.setAttribute('aria-label', label);
        shown.playsInline = true;
        shown.preload = 'auto';
        for (const name of ['timeupdate', 'play', 'pause', 'ended', 'loadedmetadata', 'durationchange']) shown.addEventListener(name, draw);
        for (const name of ['loadedmetadata', 'loadeddata', 'timeupdate', 'ended']) shown.addEventListener(name, () => check(shown));
        for (const name of ['playing', 'timeupdate']) shown.addEventListener(name, hear);
        shown.addEventListener('timeupdate', halt);
        shown.addEventListener('click', () => player.toggle());
        shown.defaultPlaybackRate = Number(speed.value);
        media = shown;
      }
      shown.src = url;
      stage.append(shown);
      if (clip.kind === 'audio') {
        const words = document.createElement('p');
        words.className = 'wave';
        words.textContent = 'Audio only: listen.';
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
      media.currentTime = start();
      play();
    },
    faster(by) {
      const at = SPEEDS.indexOf(Number(speed.value)) + by;
      if (at >= 0 && at < SPEEDS.length) setSpeed(SPEEDS[at]);
    },
    stop: () => media && media.pause(),
    // Share of the clip that was played at least once, 1 for an image; and what was seen and heard of it.
    played() {
      if (!clip) return { watched: 0, seen: 'no clip', heard: 'no clip' };
      if (player.state !== 'ready') return { watched: 0, seen: 'nothing', heard: heardOnly };
      if (!media) return { watched: 1, seen: 'picture', heard: 'nothing' };
      const watched = media.duration > 0 ? Math.min(1, length(media.played) / media.duration) : 0;
      const heard = !watched || !hasSound() ? 'nothing' : wasHeard ? 'sound' : wasMuted ? 'muted' : 'nothing';
      return { watched, seen: clip.kind === 'video' ? 'video' : 'nothing', heard };
    },
  };
  one('play').addEventListener('click', player.toggle);
  one('replay').addEventListener('click', player.replay);
  speed.addEventListener('change', () => setSpeed(Number(speed.value)));
  seek.addEventListener('input', () => {
    if (media && media.duration > 0) media.currentTime = start() + (seek.value / 1000) * (end() - start());
  });
  return player;
}
