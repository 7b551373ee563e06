// What came of a scan, heard and felt: who looks at goods does not look at a screen.

/** What came of it; `kept` while nobody knows yet. */
export type Fate = "known" | "unknown" | "wrong" | "again" | "kept";

interface Signal {
  /** Tones one after the other, in hertz. */
  tones: number[];
  shape: OscillatorType;
  /** On, off, on, … in milliseconds. */
  shakes: number[];
}

const SIGNALS: Record<Fate, Signal> = {
  known: { tones: [1320], shape: "sine", shakes: [40] },
  again: { tones: [880, 1320, 880], shape: "sine", shakes: [40, 60, 40] },
  wrong: { tones: [520, 390, 520, 390], shape: "triangle", shakes: [80, 60, 80, 60, 80] },
  unknown: { tones: [196, 147], shape: "square", shakes: [250, 100, 250] },
  kept: { tones: [990], shape: "sine", shakes: [15] },
};
/** How long a tone lasts, in seconds, and how loud it is, of 1. */
const TONE = 0.11;
const LOUD = 0.25;

let sound: AudioContext | undefined;

export function signal(fate: Fate): void {
  const { tones, shape, shakes } = SIGNALS[fate];
  navigator.vibrate?.(shakes);
  try {
    sound ??= new AudioContext();
    // A browser may hold it until somebody presses something.
    void sound.resume();
    tones.forEach((hertz, index) => tone(sound!, hertz, shape, sound!.currentTime + index * TONE));
  } catch {
    // A machine without sound shakes, and shows.
  }
}

function tone(sound: AudioContext, hertz: number, shape: OscillatorType, at: number): void {
  const source = sound.createOscillator();
  const volume = sound.createGain();
  source.type = shape;
  source.frequency.value = hertz;
  volume.gain.setValueAtTime(LOUD, at);
  volume.gain.exponentialRampToValueAtTime(0.001, at + TONE);
  source.connect(volume).connect(sound.destination);
  source.start(at);
  source.stop(at + TONE);
}
