// Swaps what differs and leaves the rest as it is: focus, scroll, what somebody types, what somebody opened.

import { Idiomorph } from "idiomorph";

/** How long a number that changed is marked, in milliseconds. */
const MARKED = 1600;

/** What a form does: where it goes, and with what it always says. Its key differs each time it is rendered. */
function deed(form: HTMLFormElement): string {
  const said = [...form.querySelectorAll<HTMLInputElement>("input[type=hidden]")]
    .filter((input) => input.name !== "key")
    .map((input) => `${input.name}=${input.value}`);
  return [form.getAttribute("action"), ...said].join("&");
}

/** Makes `target` as what came in `fragment`. */
export function calm(target: Element, fragment: ParentNode & Node): Node[] {
  const fresh = fragment.firstElementChild;
  if (!fresh) return [];
  const moved: Element[] = [];
  const swapped = Idiomorph.morph(target, fresh, {
    morphStyle: "outerHTML",
    callbacks: {
      beforeNodeMorphed(old: Node, next: Node) {
        // A form that does the same stays, with what was typed and with its key: sent twice, it is done once.
        if (old instanceof HTMLFormElement && next instanceof HTMLFormElement && deed(old) === deed(next)) return false;
        // What somebody marked stays marked.
        if (old instanceof HTMLInputElement && next instanceof HTMLInputElement && old.type === "checkbox"
          && old.name === next.name && old.value === next.value) return false;
        // What the script itself says stays.
        if (old instanceof Element && old.id === "live") return false;
        if (old instanceof Element && next instanceof Element && old.matches("td.n, .card strong, .numbers strong")) {
          if (old.textContent !== next.textContent) moved.push(old);
        }
        return true;
      },
      beforeAttributeUpdated: (name: string, element: Element) => !(name === "open" && element instanceof HTMLDetailsElement),
    },
  });
  for (const element of moved.filter((element) => element.isConnected)) {
    element.classList.add("moved");
    setTimeout(() => element.classList.remove("moved"), MARKED);
  }
  return swapped instanceof Promise ? [] : swapped;
}
