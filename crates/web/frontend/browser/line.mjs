// A line between a browser and a server that can be cut, or lose what the server answers.

import { createServer, connect } from "node:net";

/** Where the line to a server begins; `line.is` says how it does: `well`, `cut`, or `deaf` to answers. */
export async function line(address) {
  const { hostname, port } = new URL(address);
  const open = new Set();
  const line = { is: "well", lost: 0, address: "", end() { server.close(); for (const socket of open) socket.destroy(); } };
  const server = createServer((browser) => {
    if (line.is === "cut") return browser.destroy();
    const there = connect(Number(port), hostname);
    const both = [browser, there];
    const close = () => both.forEach((socket) => { open.delete(socket); socket.destroy(); });
    for (const socket of both) open.add(socket), socket.on("error", close).on("close", close);
    browser.on("data", (data) => (line.is === "cut" ? close() : there.write(data)));
    there.on("data", (data) => {
      if (line.is === "well") return browser.write(data);
      line.lost += 1;
      close();
    });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  line.address = `http://127.0.0.1:${server.address().port}`;
  return line;
}
