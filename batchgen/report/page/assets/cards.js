// One card of the contact sheet: the render, its name, its prompt, and what it took.

const CLIPPED = 400; // characters of a prompt that a card holds; it shows three lines of them

function card(task) {
  const title = make("button", { type: "button", class: "title", click: () => openDetails(task) }, outside(task.id));
  const facts = [
    outside(task.model), counted(task.credits, "credit"), task.held ? `${number(task.held)} held` : null, took(task) === null ? null : span(took(task)),
    task.attempts > 1 ? counted(task.attempts, "attempt") : null,
  ].filter((fact) => fact !== null);
  return make("li", { class: `card ${task.state}` },
    frame(task),
    make("div", { class: "caption" },
      make("h3", {}, title),
      task.state === "done" && task.wanted ? null : badge(task),
      make("p", { class: "prompt", dir: "auto" }, task.prompt.slice(0, CLIPPED)),
      make("p", { class: "facts" }, facts.map((fact) => make("span", {}, fact)))));
}

const badge = (task) => make("p", { class: `badge ${task.state}` }, task.state + (task.wanted ? "" : ", left the manifest"));

/** What stands in the frame: the first file; without one, the reason. */
function frame(task) {
  const [file] = task.files;
  if (!file) {
    const words = reason(task) || { pending: "waits for its turn", rendering: "is being rendered", rendered: "is being fetched" }[task.state] || "";
    return make("div", { class: "frame empty" }, make("p", { dir: "auto" }, words.slice(0, CLIPPED)));
  }
  const shown = media(task, file);
  const more = task.files.length > 1 ? make("span", { class: "more" }, `1 of ${task.files.length}`) : null;
  const made = make("div", { class: "frame" }, shown, more, shown.tagName === "VIDEO" ? playButton(task, shown) : null);
  // A convenience for the mouse alone; the keyboard has the title's button.
  if (shown.tagName !== "AUDIO") shown.addEventListener("click", () => openDetails(task));
  return made;
}
