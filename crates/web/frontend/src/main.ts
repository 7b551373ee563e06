// What moves on the pages: htmx asks for a page again where it is searched, and what differs is swapped in calmly.
// Everything here is on top of plain links and forms, which do the same without it.

import htmx from "htmx.org";
import { calm } from "./calm";
import { floor } from "./floor";
import { inbox } from "./inbox";
import { live } from "./live";

// The pages' Content-Security-Policy allows no inline style and no text that becomes script.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
htmx.config.allowScriptTags = false;
// What a page says is kept nowhere: going back asks for it again.
htmx.config.historyCacheSize = 0;
htmx.config.refreshOnHistoryMiss = true;

htmx.defineExtension("calm", {
  isInlineSwap: (style) => style === "calm",
  handleSwap: (style, target, fragment) => style === "calm" && calm(target as Element, fragment as ParentNode & Node),
});

live();
floor();
inbox();
