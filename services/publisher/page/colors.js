// The colours of the theme in force, for what draws on a canvas.

/** @type {HTMLElement | null} */
let probe = null;

/** A colour of the style sheet as `rgb(…)`: canvases know neither `var()` nor `light-dark()`. @param {string} name */
export function color(name) {
  if (probe === null) {
    probe = document.createElement("i");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

export const font = () => getComputedStyle(document.body).fontFamily;
