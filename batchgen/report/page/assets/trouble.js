// What failed or is blocked, put together by its cause: a thousand tasks with one error are one thing to look at.

const FEW_CAUSES = 4; // more are folded away: the renders are below
const MOST_CAUSES = 40;
const MOST_NAMED = 5;

function showTrouble(tasks) {
  const causes = new Map();
  for (const task of tasks) {
    if (!inTrouble(task) || !task.wanted) continue;
    const key = [task.manifest, task.state, reason(task)].join("\n");
    if (!causes.has(key)) causes.set(key, []);
    causes.get(key).push(task);
  }
  const ordered = [...causes.values()].sort((one, other) => other.length - one.length);
  byId("trouble").hidden = !ordered.length;
  byId("troubles").replaceChildren(...ordered.slice(0, FEW_CAUSES).map(cause));
  if (ordered.length <= FEW_CAUSES) return;
  const rest = ordered.slice(FEW_CAUSES, MOST_CAUSES).map(cause);
  const beyond = ordered.length - MOST_CAUSES;
  byId("troubles").append(make("details", {}, make("summary", {}, `${number(ordered.length - FEW_CAUSES)} more causes`), rest,
    beyond > 0 ? make("p", { class: "about" }, `And ${number(beyond)} more, among the renders below.`) : null));
}

function cause(tasks) {
  const [first] = tasks;
  const requestId = first.fault?.[2];
  const alone = tasks.length === 1;
  const held = tasks.reduce((sum, task) => sum + task.held, 0);
  const named = tasks.slice(0, MOST_NAMED).map((task) =>
    make("li", {}, make("button", { type: "button", class: "link", click: () => openDetails(task) }, outside(task.id))));
  return make("article", { class: `cause ${first.state}` },
    make("h3", {}, `${counted(tasks.length, "task")} ${first.state} in `, outside(first.manifest)),
    make("p", { class: "said", dir: "auto" }, (reason(first) || "no reason was given").slice(0, 600)),
    held ? make("p", { class: "faint" }, `${counted(held, "credit")} stay held`) : null,
    requestId ? make("p", { class: "faint" }, alone ? "requestId " : "requestId of the first ", make("code", {}, outside(requestId))) : null,
    make("ul", { class: "named" }, named, alone ? null
      : make("li", {}, make("button", { type: "button", class: "link", click: () => showOnly(first) }, `show all ${number(tasks.length)}`))),
    commandLine(alone || first.state !== "failed" ? first.command : about.retry[first.manifest] ?? first.command));
}
