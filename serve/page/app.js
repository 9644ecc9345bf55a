"use strict";
// The page to try the model: asks /info what the model takes, sends texts to /predict, draws the answer.

const at = (id) => document.getElementById(id);
const state = { pair: false };

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function fill(list, rows) {
  list.replaceChildren(...rows.map(([term, value]) => {
    const row = make("div");
    row.append(make("dt", "", term), make("dd", "", value));
    return row;
  }));
}

// An answer as JSON; what is no success is thrown with the server's own words.
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const id = body.request_id ? ` · request ${body.request_id}` : "";
    throw new Error(`${response.status}: ${body.error || "no reason given"}${id}`);
  }
  return { body, headers: response.headers };
}

async function showModel() {
  const { body: info } = await ask("/info");
  const task = info.task;
  state.pair = task.is_pair;
  document.title = `${info.model} · replank`;
  at("model").textContent = info.model;
  const answer = task.kind === "regression" ? "Answers with a number" : `Answers with ${task.labels.length} labels`;
  at("task").textContent = `${answer}${task.is_pair ? " for two texts" : ""}; reads up to ${info.max_length} tokens.`;
  at("first-label").textContent = title(task.columns[0]);
  at("lines-field").hidden = task.is_pair;
  at("second-field").hidden = !task.is_pair;
  if (task.is_pair) at("second-label").textContent = title(task.columns[1]);
  const rows = [
    ["Task", `${task.name} (${task.kind})`],
    ["Labels", task.labels.slice(0, 12).join(", ") + (task.labels.length > 12 ? ", …" : "")],
    ["Layers", String(info.layers)],
    ["Precision", `${info.precision}, ${info.kind === "onnx" ? "ONNX" : "PyTorch"}`],
    ["Device", info.provider ? `${info.device}, ${info.provider}` : info.device],
    ["Computes in", info.arithmetic],
    ...Object.entries(info.quality || {}).map(([name, value]) => [title(name), value.toFixed(4)]),
    ["Batch", `up to ${info.limits.max_batch}`],
    ["Digest", info.digest ? info.digest.slice(0, 12) : "none"],
    ["replank", info.versions.replank],
  ];
  fill(at("facts"), rows.filter(([, value]) => value));
}

const title = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("_", " ");

async function showState() {
  const element = at("state");
  let ready = true;
  try {
    await ask("/ready");
  } catch {
    ready = false;
  }
  element.dataset.ready = String(ready);
  const text = ready ? "ready" : "not ready";
  if (element.textContent !== text) element.textContent = text;
}

function inputs() {
  if (state.pair) return [at("first").value, at("second").value];
  if (!at("lines").checked) return at("first").value;
  return at("first").value.split("\n").filter((line) => line.trim());
}

async function predict(event) {
  event.preventDefault();
  const texts = inputs();
  const body = JSON.stringify({ inputs: texts });
  at("send").disabled = true;
  at("send").textContent = "Running";
  at("error").hidden = true;
  const started = performance.now();
  try {
    const answer = await ask("/predict", {
      method: "POST", headers: { "content-type": "application/json" }, body,
    });
    const total = performance.now() - started;
    const many = Array.isArray(answer.body[0]);
    showResults(many ? answer.body : [answer.body], many ? texts : null);
    showTiming(answer.headers, total);
    at("curl").textContent =
      `curl ${location.origin}/predict -H 'content-type: application/json' \\\n  -d '${body.replaceAll("'", "\\u0027")}'`;
    at("answer").hidden = false;
  } catch (error) {
    at("answer").hidden = true;
    at("error").textContent = error.message;
    at("error").hidden = false;
    showState();
  } finally {
    at("send").disabled = false;
    at("send").textContent = "Predict";
  }
}

function showResults(answers, texts) {
  at("results").replaceChildren(...answers.map((scores, index) => {
    const item = make("li", "card");
    if (texts) item.append(make("p", "text", texts[index]));
    const list = make("ul", "bars");
    list.append(...scores.map((score, rank) => bar(score, rank === 0)));
    item.append(list);
    return item;
  }));
}

function bar({ label, score }, best) {
  const row = make("li", best ? "best" : "");
  const isNumber = score < 0 || score > 1 || label === "value";
  row.append(make("span", "label", label), make("span", "score", isNumber ? score.toFixed(3) : `${(100 * score).toFixed(1)} %`));
  if (!isNumber) {
    const track = make("span", "track");
    track.setAttribute("aria-hidden", "true");
    const filled = make("span", "filled");
    filled.style.width = `${100 * score}%`;
    track.append(filled);
    row.append(track);
  }
  return row;
}

function showTiming(headers, total) {
  const ms = (name) => `${Number(headers.get(name)).toFixed(1)} ms`;
  fill(at("timing"), [
    ["Round trip", `${total.toFixed(1)} ms`],
    ["Tokenization", ms("x-tokenization-time")],
    ["Queue", ms("x-queue-time")],
    ["Inference", ms("x-inference-time")],
    ["Batch", headers.get("x-batch-size")],
  ]);
}

at("form").addEventListener("submit", predict);
at("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !at("send").disabled) at("form").requestSubmit();
});
showModel().catch((error) => {
  at("error").textContent = error.message;
  at("error").hidden = false;
});
showState();
setInterval(() => { if (!document.hidden) showState(); }, 10000);
