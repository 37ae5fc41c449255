// The contact sheet: which tasks, in which order, and the page of them that is shown. Only that page has elements.

const PER_PAGE = 60;
const LAST = { key: null, tasks: [], page: null }; // what the filter found, and what of it is shown

const ORDERS = {
  "failures first": (one, other) => RANK[one.state] - RANK[other.state] || one.place - other.place,
  "newest first": (one, other) => lastSign(other) - lastSign(one) || one.place - other.place,
  "as in the manifest": (one, other) => one.place - other.place,
  "by name": (one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : one.place - other.place),
  "longest render first": (one, other) => (took(other) ?? -1) - (took(one) ?? -1) || one.place - other.place,
  "most credits first": (one, other) => other.credits - one.credits || one.place - other.place,
  "most attempts first": (one, other) => other.attempts - one.attempts || one.place - other.place,
};

const wants = { state: "", words: "", manifest: "", model: "", run: "", order: "failures first", page: 0 };
let all = [];

/** Take what is wanted now and show it. Whatever but the page changes begins at the first page. */
function want(change) {
  Object.assign(wants, { page: 0 }, change);
  show();
}

function found() {
  const words = wants.words.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (task) => (!wants.manifest || task.manifest === wants.manifest) && (!wants.model || task.model === wants.model)
    && (!wants.run || String(task.run) === wants.run) && words.every((word) => haystack(task).includes(word));
  const narrowed = all.filter(fits);
  showChips(narrowed);
  return narrowed.filter((task) => !wants.state || task.state === wants.state).sort(ORDERS[wants.order]);
}

function show() {
  const key = JSON.stringify({ ...wants, page: 0 });
  if (key !== LAST.key) Object.assign(LAST, { key, tasks: found() });
  const { tasks } = LAST;
  const pages = Math.max(Math.ceil(tasks.length / PER_PAGE), 1);
  const from = wants.page * PER_PAGE;
  const page = tasks.slice(from, from + PER_PAGE);
  // While somebody types, most searches find the same: what has the focus, or plays, stays.
  if (page.length !== LAST.page?.length || page.some((task, nth) => task !== LAST.page[nth])) {
    release(byId("cards"));
    byId("cards").replaceChildren(...page.map(card));
    LAST.page = page;
  }
  byId("shown").textContent = !all.length ? "There are no tasks yet." : !tasks.length ? "Nothing fits. Take a filter away."
    : pages === 1 ? counted(tasks.length, "task") : `${number(from + 1)} to ${number(from + page.length)} of ${counted(tasks.length, "task")}`;
  byId("pages").hidden = pages === 1;
  byId("back").disabled = wants.page === 0;
  byId("on").disabled = wants.page === pages - 1;
  if (byId("page").length !== pages) fill(byId("page"), Array.from({ length: pages }, (_, nth) => [nth, `${nth + 1} of ${pages}`]));
  byId("page").value = String(wants.page);
}

/** The task before or after another one, as they are shown now. */
function neighbour(task, by) {
  return LAST.tasks[LAST.tasks.indexOf(task) + by];
}

/** Put the focus on a task's card, or, if that is not shown, on the renders. */
function focusOn(task) {
  const shown = byId("cards").children[LAST.page.indexOf(task)];
  (shown?.querySelector(".title") ?? byId("renders")).focus({ preventScroll: true });
}

function turn(to) {
  want({ page: to });
  byId("renders").focus({ preventScroll: true });
  byId("shown").scrollIntoView({ block: "start" });
}

function showOnly(task) {
  byId("words").value = (reason(task) || "").slice(0, 120);
  byId("manifest").value = task.manifest;
  want({ state: task.state, words: byId("words").value, manifest: task.manifest });
  byId("renders").scrollIntoView();
  byId("renders").focus({ preventScroll: true });
}

/** A chip per state that occurs, with its count under the other filters. */
function showChips(tasks) {
  const counts = {};
  for (const task of tasks) counts[task.state] = (counts[task.state] ?? 0) + 1;
  const focused = document.activeElement?.dataset?.state;
  const chip = (state, words, count) => make("button", { type: "button", class: `chip ${state}`, "data-state": state || "all",
    "aria-pressed": String(wants.state === state), click: () => want({ state }) }, words, make("strong", {}, number(count)));
  const there = STATES.filter((state) => counts[state] || wants.state === state);
  byId("chips").replaceChildren(chip("", "all", tasks.length), ...there.map((state) => chip(state, state, counts[state] ?? 0)));
  if (focused) byId("chips").querySelector(`[data-state="${focused}"]`)?.focus();
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, words]) => make("option", { value }, words)));
}
