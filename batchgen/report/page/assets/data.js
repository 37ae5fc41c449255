// The tasks, out of the page's data block. Columns as in `cards.py`; 0 in a repeated one means "as in the row before".

const COLUMNS = ["manifest", "id", "state", "wanted", "model", "prompt", "params", "references", "credits", "held", "attempts",
  "run", "submitted", "accepted", "ended", "taskId", "key", "lost", "files", "fault", "note", "line", "command"];
const REPEATED = new Set(["manifest", "model", "prompt", "params", "references"]);
// In the order in which a person wants to know of them.
const STATES = ["failed", "blocked", "rendering", "rendered", "pending", "done"];
const RANK = Object.fromEntries(STATES.map((state, nth) => [state, nth]));

const about = JSON.parse(byId("about").textContent);

function readTasks() {
  const block = byId("tasks");
  let before = {};
  const tasks = JSON.parse(block.textContent).map((row, place) => {
    const task = { place };
    COLUMNS.forEach((name, nth) => { task[name] = row[nth] === 0 && REPEATED.has(name) ? before[name] : row[nth]; });
    before = task;
    return task;
  });
  block.remove(); // its text is as large as everything else together
  return tasks;
}

const inTrouble = (task) => task.state === "failed" || task.state === "blocked";

/** How long the server took, in milliseconds; null where that is not over. */
const took = (task) => (task.ended === null ? null : task.ended - (task.accepted ?? 0));

const lastSign = (task) => (task.submitted === null ? -Infinity : task.submitted + (task.ended ?? task.accepted ?? 0));

/** What a search looks through, in small letters. Made when a search first needs it. */
function haystack(task) {
  task.hay ??= [task.id, task.prompt, task.model, task.note, task.taskId, task.key, ...task.references,
    said(task), task.fault?.[2], ...task.files.map(([path]) => path), ...Object.entries(task.params).map((pair) => pair.join("="))]
    .join("\n").toLowerCase();
  return task.hay;
}

/** The server's words, if there are some. */
const said = (task) => (task.fault ? `${task.fault[0]}: ${task.fault[1]}` : "");

/** Why a task is where it is: what a blocked one waits for, such as a person where it is in doubt; else in the server's words. */
const reason = (task) => (task.state === "blocked" && task.note) || said(task) || task.note;
