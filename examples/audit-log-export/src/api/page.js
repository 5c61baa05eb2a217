const form = document.querySelector("#ask");
const problem = document.querySelector("#problem");
const list = document.querySelector("#exports");
const none = document.querySelector("#none");
const offline = document.querySelector("#offline");

/** What each state is called here. */
const STATES = {
  scheduled: "waits for its time",
  ready: "waits for a worker",
  leased: "is being written",
  completed: "done",
  cancelled: "cancelled",
  dead: "failed for good",
};
const DAY = 24 * 60 * 60 * 1000;
const organizations = new Map();

const day = (time) => new Date(time).toISOString().slice(0, 10);

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

async function ask(path, options) {
  const reply = await fetch(path, options);
  const body = reply.headers.get("content-type")?.includes("json") ? await reply.json() : { error: await reply.text() };
  if (!reply.ok) throw new Error(body.error || reply.statusText);
  return body;
}

function row(export_) {
  const { request, state, failures } = export_;
  const item = document.createElement("li");
  item.dataset.state = state;
  const name = organizations.get(request?.orgId) ?? "Audit log";
  item.append(element("span", name, { className: "what" }));
  const again = state === "scheduled" && failures > 0;
  item.append(element("span", again ? `tried again soon, after ${failures} failed` : STATES[state], { className: "state" }));
  if (request) {
    const last = new Date(request.endDate).getTime() - 1;
    const range = [day(request.startDate), day(last)].map((date) => date.replaceAll("-", "\u2011")).join(" to ");
    const only = request.filters?.action ? `, only ${request.filters.action}` : "";
    item.append(element("span", range + only, { className: "range" }));
  }
  if (export_.download) {
    item.append(element("a", `${export_.rows?.toLocaleString() ?? ""} rows`, { href: export_.download, download: "" }));
  } else if (!["dead", "cancelled"].includes(state)) {
    item.append(element("progress", "", { value: export_.progress, max: 1, ariaLabel: "progress" }));
  }
  if (export_.problem) item.append(element("p", export_.problem, { className: "problem" }));
  return item;
}

let shown = "";

/** Looks again soon while something is under way, and seldom otherwise. */
async function refresh() {
  let busy = false;
  try {
    const exports_ = await ask("/exports");
    busy = exports_.some(({ state }) => ["scheduled", "ready", "leased"].includes(state));
    const text = JSON.stringify(exports_);
    // A list that is the same is left alone, so that focus and screen readers are too.
    if (text !== shown) {
      shown = text;
      none.hidden = exports_.length > 0;
      list.replaceChildren(...exports_.map(row));
    }
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
  clearTimeout(refresh.timer);
  refresh.timer = setTimeout(refresh, busy ? 400 : 3000);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const { orgId, startDate, endDate, action, userEmail } = Object.fromEntries(new FormData(form));
  const export_ = {
    orgId,
    userId: "00000000-0000-0000-0000-000000000001",
    userEmail,
    startDate: new Date(startDate).toISOString(),
    // The last day counts in full.
    endDate: new Date(new Date(endDate).getTime() + DAY).toISOString(),
    ...(action && { filters: { action } }),
  };
  try {
    await ask("/exports", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(export_),
    });
  } catch (error) {
    problem.textContent = error.message;
  }
  refresh();
});

form.startDate.value = day(Date.now() - 30 * DAY);
form.endDate.value = day(Date.now());
for (const { id, name } of await ask("/organizations")) {
  organizations.set(id, name);
  form.orgId.append(element("option", name, { value: id }));
}
refresh();
