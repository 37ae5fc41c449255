// How elements are made. Every text goes in as text: nothing in this page ever parses HTML (Trusted Types would refuse it too).

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

/** Make an element. `traits` are attributes; a function is a listener for the event of that name; children are elements or text. */
function make(tag, traits = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(traits)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Text from outside, kept to itself: a right-to-left override in it turns nothing around but itself. */
const outside = (text, traits = {}) => make("bdi", { dir: "auto", ...traits }, text);

const ICONS = { play: "M7 4.5v15l12-7.5z", pause: "M6.5 5h4v14h-4zM13.5 5h4v14h-4z", left: "M15 5l-7 7 7 7", right: "M9 5l7 7-7 7", close: "M6 6l12 12M18 6L6 18" };

/** A picture on a button, which says in words what it is. */
function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", name === "play" || name === "pause" ? "solid" : "");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const plain = new Intl.NumberFormat("en");
const number = (value) => plain.format(value);
const counted = (value, one) => `${number(value)} ${value === 1 ? one : one + "s"}`;

/** Milliseconds in words: 1.5 s, 40 s, 5 min 3 s, 2 h 5 min. */
function span(ms) {
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  const first = parts.findIndex(([amount]) => amount);
  return parts.slice(first, first + 2).filter(([amount]) => amount).map(([amount, unit]) => `${amount} ${unit}`).join(" ");
}

/** A file's size in words. */
function size(bytes) {
  const unit = ["bytes", "kB", "MB", "GB"];
  let nth = 0;
  for (; bytes >= 1000 && nth < 3; nth += 1) bytes /= 1000;
  return `${nth ? bytes.toFixed(1) : bytes} ${unit[nth]}`;
}

/** The clock of the account's zone: the data has it already moved there, so it is read as UTC. */
const clock = (ms) => new Date(ms).toISOString().replace("T", " ").slice(0, 19);

/** A command to copy. */
function commandLine(text) {
  // A line breaks between words only: half of "--only" on the next line would be typed wrong.
  const said = make("code", { dir: "ltr" }, text.split(" ").flatMap((word, nth) => [nth ? " " : "", make("span", {}, word)]));
  const button = make("button", { type: "button", class: "quiet", click: () => copy(said, button) }, "Copy");
  return make("p", { class: "command" }, said, button);
}

function copy(said, button) {
  const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1600); };
  // Where the browser gives a page from disk no clipboard, the text is at least selected.
  const select = () => getSelection().selectAllChildren(said);
  if (navigator.clipboard) navigator.clipboard.writeText(said.textContent).then(done, select);
  else select();
}
