// One task, whole, in a dialog: the files with their controls, the prompt, and every fact. Arrows go on to the next.

const dialog = byId("details");
const LONG = { characters: 900, lines: 14 };
let current = null;

function openDetails(task) {
  hush(null);
  release(dialog);
  current = task;
  const files = task.files.map((file) => make("figure", {}, media(task, file, true), fileLine(file)));
  dialog.replaceChildren(
    make("div", { class: "bar" },
      make("h2", { id: "details-title" }, outside(task.id)), badge(task), make("span", { class: "gap" }),
      step(-1, "left", "Previous"), step(1, "right", "Next"),
      make("button", { type: "button", class: "quiet", "aria-label": "Close", click: () => dialog.close() }, icon("close"))),
    make("div", { class: files.length ? "both" : "" }, files.length ? make("div", { class: "files" }, files) : null,
      make("div", { class: "told" }, trouble(task), promptOf(task), factsOf(task))));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

const step = (by, name, words) => make("button", { type: "button", class: "quiet", "aria-label": `${words} task`,
  disabled: !neighbour(current, by), click: () => go(by) }, icon(name));

function go(by) {
  const next = neighbour(current, by);
  if (!next) return;
  openDetails(next);
  const same = dialog.querySelector(`[aria-label="${by < 0 ? "Previous" : "Next"} task"]`);
  (same.disabled ? dialog.querySelector('[aria-label="Close"]') : same).focus();
}

const fileLine = ([path, link, mime, bytes]) => make("figcaption", {},
  make("a", { href: about.folder + (link || path), target: "_blank", rel: "noopener" }, outside(path)), ` ${size(bytes)}`);

/** What went wrong, in the server's words, and what to do now. */
function trouble(task) {
  if (!task.fault && !task.note && !task.command) return null;
  const [code, message, requestId, status] = task.fault ?? [];
  return make("div", { class: inTrouble(task) ? "words bad" : "words" },
    task.note && task.note !== said(task) || !task.fault ? make("p", { dir: "auto" }, task.note) : null,
    task.fault ? make("p", { dir: "auto" }, make("strong", {}, outside(code)), ` ${message}`) : null,
    requestId ? make("p", { class: "faint" }, "requestId ", make("code", {}, outside(requestId)), status ? `, HTTP ${status}` : "") : null,
    task.command ? commandLine(task.command) : null);
}

/** The prompt; a very long one is clipped until it is asked for. */
function promptOf(task) {
  const lines = task.prompt.split("\n").length;
  const long = task.prompt.length > LONG.characters || lines > LONG.lines;
  const clip = () => task.prompt.split("\n").slice(0, LONG.lines).join("\n").slice(0, LONG.characters);
  const text = make("p", { class: "prompt whole", dir: "auto", id: "prompt" }, long ? clip() : task.prompt);
  if (!long) return text;
  const all = `Show all of it: ${lines > LONG.lines ? counted(lines, "line") : counted(task.prompt.length, "character")}`;
  const button = make("button", { type: "button", class: "quiet", "aria-expanded": "false", "aria-controls": "prompt", click: () => {
    const open = button.getAttribute("aria-expanded") === "true";
    text.textContent = open ? clip() : task.prompt;
    button.setAttribute("aria-expanded", String(!open));
    button.textContent = open ? all : "Show less";
  } }, all);
  return make("div", {}, text, button);
}

function factsOf(task) {
  const after = (ms) => (ms === null || task.submitted === null ? null : clock(task.submitted + ms));
  const facts = [
    ["Model", task.model], ["Manifest", `${task.manifest}, line ${task.line}`],
    ["Params", Object.entries(task.params).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ")],
    ["References", task.references.join(", ")],
    ["Credits", `${number(task.credits)} spent` + (task.held ? `, ${number(task.held)} held` : "")],
    ["Attempts", number(task.attempts) + (task.lost ? `, ${counted(task.lost, "answer")} lost on the way` : "")],
    ["Render time", took(task) === null ? null : span(took(task))],
    ["Submitted", after(0)], ["Accepted", after(task.accepted)], ["Ended", after(task.ended)],
    ["Run", task.run ? number(task.run) : null], ["Task id", task.taskId], ["client_request_id", task.key],
  ];
  return make("dl", { class: "list" }, facts.filter(([, value]) => value)
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, outside(value)))));
}

dialog.addEventListener("close", () => {
  release(dialog);
  dialog.replaceChildren();
  if (document.activeElement === document.body) focusOn(current); // what it was opened from is gone: a search ended meanwhile
});
// A click beside the dialog closes it; the dialog itself is the target only there.
dialog.addEventListener("click", (event) => {
  const box = dialog.getBoundingClientRect();
  const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
  if (event.target === dialog && !inside) dialog.close();
});
dialog.addEventListener("keydown", (event) => {
  // A player uses the arrows itself.
  if (event.target.closest("video, audio") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
});
