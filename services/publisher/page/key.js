// The key of a visitor, where the server asks for one, and the dialog that asks for it.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";

const KEY = "technic.key.v1";

/** Where keys are kept: with this window, or with this browser when somebody says so. @returns {Storage[]} */
function places() {
  try {
    return [sessionStorage, localStorage];
  } catch {
    // The browser keeps nothing: the key holds until the page is closed.
    return [];
  }
}

let held = places().map((place) => place.getItem(KEY)).find((key) => key !== null) ?? null;

/** @returns {string | null} */
export function currentKey() {
  return held;
}

/** @param {string} key @param {boolean} isRemembered beyond this window */
export function keepKey(key, isRemembered) {
  forgetKey();
  held = key;
  places()[isRemembered ? 1 : 0]?.setItem(KEY, key);
}

export function forgetKey() {
  held = null;
  for (const place of places()) place.removeItem(KEY);
}

/** Requests wait until the stream has been let in: it knows whether a key is needed, and whether ours is the right one. */
let open = () => {};
/** @type {Promise<void>} */
let admitted;
closeGate();

export function openGate() {
  open();
}

export function closeGate() {
  admitted = new Promise((resolve) => (open = resolve));
}

/** `fetch`, with the key. @param {string} path @param {RequestInit} [options] @returns {Promise<Response>} */
export async function ask(path, options = {}) {
  await admitted;
  return fetch(path, held === null ? options : { ...options, headers: { authorization: `Bearer ${held}` } });
}

/**
 * @param {object} properties
 * @param {string} properties.reason why the last key was not taken; empty before the first
 * @param {(key: string, isRemembered: boolean) => void} properties.onKey
 */
export function KeyDialog({ reason, onKey }) {
  /** @type {{ current: HTMLDialogElement | null }} */
  const dialog = useRef(null);
  /** @type {{ current: HTMLInputElement | null }} */
  const input = useRef(null);
  const [isOpen, setOpen] = useState(true);
  useEffect(() => {
    // Modal: the focus stays within, and goes back where it was.
    if (isOpen && dialog.current?.open === false) dialog.current.showModal();
    input.current?.focus();
  }, [isOpen]);
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const key = given.get("key")?.toString().trim() ?? "";
    if (key === "") return;
    dialog.current?.close();
    onKey(key, given.get("remember") !== null);
  };
  return html`
    ${!isOpen && html`<button type="button" class="plain" onClick=${() => setOpen(true)}>Enter a key</button>`}
    <dialog class="key" ref=${dialog} aria-labelledby="key-title" onClose=${() => setOpen(false)}>
      <form onSubmit=${submit}>
        <h2 id="key-title">This server asks for a key</h2>
        ${reason !== "" && html`<p id="key-reason" class="down" role="alert">It was not let in: ${reason}.</p>`}
        <label for="key">API key or token</label>
        <input id="key" name="key" type="password" autocomplete="off" spellcheck="false" required ref=${input}
          aria-invalid=${reason !== ""} aria-describedby=${reason === "" ? undefined : "key-reason"} />
        <label class="line"><input type="checkbox" name="remember" /> Remember it in this browser</label>
        <p class="line"><button class="plain">Connect</button>
          <button type="button" class="plain" onClick=${() => dialog.current?.close()}>Cancel</button></p>
      </form>
    </dialog>`;
}
