// Reads barcodes in a camera's picture. Loaded when somebody opens the camera, and not before: the reader is a megabyte.
//
// Where the browser reads barcodes itself it does (<https://wicg.github.io/shape-detection-api/#barcode-detection-api>); elsewhere
// zxing-wasm does, which comes from this server.

import { BarcodeDetector as Ponyfill, prepareZXingModule } from "barcode-detector/ponyfill";

const FORMATS = ["ean_13", "ean_8", "upc_a", "upc_e", "code_128", "code_39", "itf", "qr_code", "data_matrix"] as const;
/** A picture is looked at so often, in milliseconds. */
const LOOK = 120;
/** A code counts once until it was out of sight for so long, in milliseconds. */
const GONE = 800;

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>;
}
interface Native {
  new (options: { formats: readonly string[] }): Detector;
  getSupportedFormats(): Promise<string[]>;
}

async function detector(reader: string): Promise<Detector> {
  const native = (globalThis as { BarcodeDetector?: Native }).BarcodeDetector;
  const known = native ? await native.getSupportedFormats() : [];
  const formats = FORMATS.filter((format) => known.includes(format));
  if (native && formats.includes("ean_13") && formats.includes("code_128")) return new native({ formats });
  prepareZXingModule({ overrides: { locateFile: () => reader } });
  return new Ponyfill({ formats: [...FORMATS] });
}

/** Opens the camera and tells each code it sees. Gives back what closes it. */
export async function open(video: HTMLVideoElement, reader: string, tell: (code: string) => void): Promise<() => void> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  let isOpen = true;
  const close = () => {
    isOpen = false;
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
  try {
    video.srcObject = stream;
    await video.play();
    const eye = await detector(reader);
    const seen = new Map<string, number>();
    const look = async () => {
      if (!isOpen) return;
      const codes = await eye.detect(video).catch(() => []);
      const now = performance.now();
      for (const { rawValue } of codes) {
        if (isOpen && now - (seen.get(rawValue) ?? -GONE) >= GONE) tell(rawValue);
        seen.set(rawValue, now);
      }
      setTimeout(() => void look(), LOOK);
    };
    void look();
  } catch (error) {
    close();
    throw error;
  }
  return close;
}
