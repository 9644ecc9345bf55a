// The page to try the models: reads their descriptions, sends texts to one or two of them, and draws the answers.

import { ask, at, curl, make, showError, terms, title, useKey } from "/page/dom.js";
import { drawTiming, drawTokens, views } from "/page/draw.js";
import { showRelations } from "/page/relations.js";

let infos = new Map();
const chosen = () => infos.get(at("model-choice").value);

async function start() {
  const names = (await ask("/models")).body.map((model) => model.name);
  const answers = await Promise.all(names.map((name) => ask(`/info?model=${name}`)));
  infos = new Map(answers.map(({ body }) => [body.name, body]));
  at("model-choice").replaceChildren(...names.map((name) => new Option(name)));
  at("choices").hidden = names.length < 2;
  showModel();
}

function showModel() {
  const info = chosen();
  if (!info) throw new Error("No model is loaded.");
  const { task } = info;
  document.title = `${info.name} · replank`;
  at("model").textContent = info.name;
  const inputs = task.is_pair ? " for two texts" : "";
  at("task").textContent = `Answers with ${task.answers}${inputs}; reads up to ${info.max_length} tokens.`;
  at("first-label").textContent = task.is_pair ? title(task.columns[0]) : "Text";
  at("lines-field").hidden = task.is_pair;
  at("second-field").hidden = !task.is_pair;
  if (task.is_pair) at("second-label").textContent = title(task.columns[1]);
  // Two models can only be compared if they take the same requests.
  const alike = [...infos.values()].filter((other) =>
    other !== info && other.task.route === task.route && other.task.is_pair === task.is_pair);
  at("other-choice").replaceChildren(new Option("nothing", ""), ...alike.map((other) => new Option(other.name)));
  at("other-choice").disabled = !alike.length;
  at("answer").hidden = true;
  showRelations(info, infos.size > 1);
  showFacts(info);
}

function showFacts(info) {
  const { task } = info;
  const rows = [
    ["Model", info.model],
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
  at("facts").replaceChildren(terms("facts", rows.filter(([, value]) => value)));
}

async function showState() {
  const element = at("state");
  const ready = await ask("/ready").then(() => true, () => false);
  element.dataset.ready = String(ready);
  const text = ready ? "ready" : "not ready";
  if (element.textContent !== text) element.textContent = text;
}

function inputs() {
  if (chosen().task.is_pair) return [at("first").value, at("second").value];
  if (!at("lines").checked) return at("first").value;
  return at("first").value.split("\n").filter((line) => line.trim());
}

async function predict(event) {
  event.preventDefault();
  at("send").disabled = true;
  at("send").textContent = "Running";
  showError();
  try {
    await show(inputs());
  } catch (error) {
    at("answer").hidden = true;
    failed(error);
    showState();
  } finally {
    at("send").disabled = false;
    at("send").textContent = "Predict";
  }
}

async function show(texts) {
  const { route } = chosen().task;
  const view = views[route];
  const names = [chosen().name, at("other-choice").value].filter(Boolean);
  const body = (name) => (infos.size > 1 ? { inputs: texts, model: name } : { inputs: texts });
  const replies = [];
  // Side by side, timings should compare the models: the first round opens the connections, and the requests of the
  // second one do not overlap.
  if (names.length > 1) for (const name of names) await ask(route, body(name));
  for (const name of names) replies.push(await ask(route, body(name)));
  const many = Array.isArray(texts) && !chosen().task.is_pair;
  const answers = replies.map((reply) => view.answers(reply.body, many));
  at("results").replaceChildren(...answers[0].map((_, row) =>
    result(view, names, answers.map((answer) => answer[row]), many ? texts[row] : texts, many)));
  at("timing").replaceChildren(...replies.map((reply, index) =>
    make("div", "", names.length > 1 ? make("h2", "", names[index]) : "", drawTiming(reply))));
  at("curl").textContent = curl(route, body(names[0]));
  const tokens = (await ask("/tokenize", body(names[0]))).body;
  at("tokens").replaceChildren(...drawTokens(tokens));
  at("answer").hidden = false;
}

// One text: its answers side by side.
function result(view, names, answers, text, many) {
  const item = make("li", "card");
  if (many) item.append(make("p", "text", text));
  const sides = make("div", "sides");
  sides.append(...answers.map((answer, index) => {
    const side = make("div", "side");
    if (names.length > 1) side.append(make("h2", "", names[index]));
    side.append(view.draw(answer, text, infos.get(names[index]).task));
    return side;
  }));
  item.append(sides);
  if (answers.length > 1 && view.decision) {
    const same = view.decision(answers[0]) === view.decision(answers[1]);
    item.append(make("p", same ? "verdict" : "verdict differs", same ? "Both answer the same." : "They differ."));
  }
  return item;
}

function failed(error) {
  showError(error);
  if (error.status !== 401) return;
  at("key-form").hidden = false;
  at("key").focus();
}

at("form").addEventListener("submit", predict);
at("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !at("send").disabled) at("form").requestSubmit();
});
at("model-choice").addEventListener("change", showModel);
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(at("key").value.trim());
  at("key-form").hidden = true;
  showError();
  start().then(() => at("first").focus(), failed);
});
start().catch(failed);
showState();
setInterval(() => { if (!document.hidden) showState(); }, 10000);
