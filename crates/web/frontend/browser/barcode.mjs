// A film of a barcode, which a browser takes for what its camera sees.

import { writeFile } from "node:fs/promises";

// GS1 General Specifications, section 5.2.1.2: the seven modules of each digit in the three number sets, and which of the first
// two the left half takes for the leading digit.
const A = ["0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011"];
const C = A.map((modules) => [...modules].map((module) => (module === "1" ? "0" : "1")).join(""));
const B = C.map((modules) => [...modules].reverse().join(""));
const SETS = ["AAAAAA", "AABABB", "AABBAB", "AABBBA", "ABAABB", "ABBAAB", "ABBBAA", "ABABAB", "ABABBA", "ABBABA"];

/** The modules of an EAN-13: 1 is dark. */
function modules(code) {
  const [leading, ...digits] = [...code].map(Number);
  const left = digits.slice(0, 6).map((digit, index) => (SETS[leading][index] === "A" ? A : B)[digit]);
  return ["101", ...left, "01010", ...digits.slice(6).map((digit) => C[digit]), "101"].join("");
}

/** Writes a film of one picture, 640 by 480, in the form that Chromium's fake camera reads (YUV4MPEG2). */
export async function film(path, code) {
  const [width, height, module] = [640, 480, 4];
  const bars = modules(code);
  const from = Math.floor((width - bars.length * module) / 2);
  const light = Buffer.alloc(width * height, 235);
  for (let y = 120; y < 360; y += 1) {
    [...bars].forEach((bar, index) => {
      if (bar === "1") light.fill(16, y * width + from + index * module, y * width + from + (index + 1) * module);
    });
  }
  const colour = Buffer.alloc((width * height) / 2, 128);
  const head = Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`);
  await writeFile(path, Buffer.concat([head, Buffer.from("FRAME\n"), light, colour]));
}
