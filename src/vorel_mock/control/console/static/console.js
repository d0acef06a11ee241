// Forms and buttons become the JSON operations of the control plane; the page follows the mock by server-sent events.
"use strict";

const message = document.getElementById("message");
let busy = false;
let going;
let loaded = performance.now();

// A success goes by itself; a mistake, and a secret that is shown once, stay until the next message.
function say(text, bad, secret) {
  message.textContent = text;
  message.className = bad ? "bad" : "ok";
  if (secret) {
    const copy = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
    copy.dataset.copy = secret;
    message.append(secret, " ", copy);
  }
  message.hidden = false;
  clearTimeout(going);
  if (!bad && !secret) going = setTimeout(() => { message.hidden = true; }, 6000);
}

// What somebody has typed into the forms of the page, and not sent yet.
function typed() {
  return [...document.querySelectorAll("main form[data-path] [name]")].filter((field) => {
    const usual = field.options ? (field.querySelector("[selected]") ?? field.options[0])?.value : field.defaultValue;
    return field.value !== usual || field.checked !== field.defaultChecked;
  }).map((field) => [field.form.dataset.path, field.name, field.value, field.checked]);
}

function typeAgain(fields) {
  for (const [path, name, value, checked] of fields) {
    const field = document.querySelector(`main form[data-path="${CSS.escape(path)}"] [name="${CSS.escape(name)}"]`);
    if (!field) continue;
    field.value = value;
    if (checked !== undefined) field.checked = checked;
  }
}

// The page is made by the mock: ask for it again, and put its main part in the place of this one.
async function refresh() {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = new Set([...document.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
    const focused = document.activeElement;
    const typing = focused && focused.matches("main input, main select, main textarea");
    document.body.dataset.changes = made.body.dataset.changes;
    loaded = performance.now();
    document.querySelector(".clock").replaceWith(made.querySelector(".clock"));
    if (typing || !answer.ok) return; // what somebody types is not taken away
    const fields = typed();
    const before = focused && focused.dataset ? focused.outerHTML : null;
    document.querySelector("main").replaceWith(document.adoptNode(made.querySelector("main")));
    typeAgain(fields);
    for (const each of document.querySelectorAll("details > summary")) {
      if (open.has(each.textContent)) each.parentElement.open = true;
    }
    if (before) [...document.querySelectorAll("main button, main a")].find((each) => each.outerHTML === before)?.focus();
  } finally {
    busy = false;
  }
}

async function send(method, path, body, form, go) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) {
    let told = text;
    try { told = JSON.parse(text).error.message; } catch { /* not JSON */ }
    say(told || `HTTP ${answer.status}`, true);
    return;
  }
  const made = text ? JSON.parse(text) : {};
  const secret = made.token || made.secret;
  if (go && made.id) return location.assign(go + made.id);
  if (secret) say("Done. Shown this once: ", false, secret);
  else if (made.deliveries && !made.deliveries.length) say("Published, but nobody is subscribed to it: no webhook was sent.", true);
  else say("Done.", false);
  document.activeElement?.blur?.();
  form?.reset();
  await refresh();
}

function valueOf(field) {
  switch (field.dataset.type) {
    case "integer": return Number(field.value);
    case "list": return field.value === "*" ? [...field.options].map((each) => each.value).filter((each) => each !== "*") : [field.value];
    case "json": return JSON.parse(field.value);
    case "json or text": try { return JSON.parse(field.value); } catch { return field.value; }
    default: return field.value;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.path) return;
  event.preventDefault();
  try {
    const body = {};
    for (const field of form.elements) {
      if (!field.name || field.value === "" || (field.type === "checkbox" && !field.checked)) continue;
      const path = field.name.split("."); // `request.lead` is a member of a member
      const last = path.pop();
      path.reduce((object, name) => (object[name] ??= {}), body)[last] = field.type === "checkbox" || valueOf(field);
    }
    send(form.dataset.method, form.dataset.path, body, form);
  } catch (error) {
    say(`That is not JSON: ${error.message}`, true);
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy !== undefined) {
    navigator.clipboard.writeText(button.dataset.copy).then(() => say("Copied.", false), () => say("The browser does not let a page copy.", true));
  } else if (button.dataset.path) {
    send(button.dataset.method, button.dataset.path, button.dataset.body === undefined ? undefined : JSON.parse(button.dataset.body), null, button.dataset.go);
  }
});

document.addEventListener("input", (event) => {
  const filter = event.target.dataset.filter;
  if (!filter) return;
  const text = event.target.value.toLowerCase();
  for (const row of document.querySelectorAll(filter)) row.hidden = !row.textContent.toLowerCase().includes(text);
});

// A change of a filter is a look at another list.
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && !form.dataset.path && event.target.matches("select")) form.submit();
});

// A clock that runs is seen to run.
setInterval(() => {
  const time = document.querySelector(".clock time[data-runs]");
  if (time) time.textContent = `${new Date(Date.parse(time.dateTime) + performance.now() - loaded).toISOString().slice(0, 19)}Z`;
}, 1000);

const source = new EventSource(`${document.body.dataset.listen}?since=${document.body.dataset.changes}`);
source.addEventListener("changed", (event) => {
  if (event.data !== document.body.dataset.changes && !document.hidden) refresh();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
