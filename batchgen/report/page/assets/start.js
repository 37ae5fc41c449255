// Read the data, fill the filters, listen.

const WAIT = 150; // ms without a key before a search begins: a word is typed in one go

/** A filter's choices are the values that occur; one that has no choice is not shown. */
function choices(name, words) {
  const values = [...new Set(all.map((task) => task[name]))].filter((value) => value !== 0 && value !== "");
  values.sort((one, other) => (typeof one === "number" ? other - one : one < other ? -1 : 1));
  fill(byId(name), [["", "all"], ...values.map((value) => [value, words(value)])]);
  byId(name).parentElement.hidden = values.length < 2;
  byId(name).addEventListener("change", (event) => want({ [name]: event.target.value }));
}

function start() {
  all = readTasks();
  choices("manifest", String);
  choices("model", String);
  choices("run", (run) => `run ${run}`);
  fill(byId("order"), Object.keys(ORDERS).map((order) => [order, order]));
  byId("order").addEventListener("change", (event) => want({ order: event.target.value }));
  let waiting = 0;
  byId("words").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => want({ words: event.target.value }), WAIT);
  });
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("back").addEventListener("click", () => turn(wants.page - 1));
  byId("on").addEventListener("click", () => turn(wants.page + 1));
  byId("page").addEventListener("change", (event) => turn(Number(event.target.value)));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, dialog");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    byId("words").focus();
  });
  showTrouble(all);
  show();
}

start();
