// The page to try the models: reads their descriptions, sends texts to one or two of them, and draws the answers.

import { ask, at, curl, make, showError, terms, title, useKey } from "/page/dom.js";
import { drawTiming, drawTokens, views } from "/page/draw.js";
import { showRelations } from "/page/relations.js";

let infos = new Map();
// A number of a plain model may be of one text as well as of two.
const ranks = (task) => task.ranks && task.kind !== "regression";
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
  const inputs = ranks(task) ? " for a query" : task.is_pair ? " for two texts" : "";
  const mask = task.mask ? ` ${task.mask} stands where a token is asked.` : "";
  at("task").textContent = `Answers with ${task.answers}${inputs}; reads up to ${info.max_length} tokens.${mask}`;
  const [first, second] = ranks(task) ? ["Query", "Passages, one per line"] : task.is_pair ? task.columns.map(title) : ["Text"];
  at("first-label").textContent = first;
  at("lines-field").hidden = Boolean(second);
  at("second-field").hidden = !second;
  if (second) at("second-label").textContent = second;
  at("send").textContent = action();
  // Two models can only be compared if they take the same requests.
  const alike = [...infos.values()].filter((other) =>
    other !== info && other.task.route === task.route && other.task.is_pair === task.is_pair
    && ranks(other.task) === ranks(task));
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

function action() {
  const { task } = chosen();
  return ranks(task) ? "Rank" : task.mask ? "Fill" : "Predict";
}

const lines = (name) => at(name).value.split("\n").filter((line) => line.trim());

// What is asked: the route and its body, what the tokens are shown of, and the texts; `many` if each has an answer.
function question() {
  const { task, limits } = chosen();
  const first = at("first").value;
  if (ranks(task)) {
    const texts = lines("second");
    const pairs = texts.slice(0, limits.max_texts).map((text) => [first, text]);
    return { route: "/rerank", body: { query: first, texts }, tokenized: pairs, texts: [texts], many: false };
  }
  const many = !task.is_pair && at("lines").checked;
  const inputs = task.is_pair ? [first, at("second").value] : many ? lines("first") : first;
  return { route: task.route, body: { inputs }, tokenized: inputs, texts: many ? inputs : [inputs], many };
}

async function predict(event) {
  event.preventDefault();
  at("send").disabled = true;
  at("send").textContent = "Running";
  showError();
  try {
    await show(question());
  } catch (error) {
    at("answer").hidden = true;
    failed(error);
    showState();
  } finally {
    at("send").disabled = false;
    at("send").textContent = action();
  }
}

async function show({ route, body: asked, tokenized, texts, many }) {
  const view = views[route];
  const names = [chosen().name, at("other-choice").value].filter(Boolean);
  const named = (body, name) => (infos.size > 1 ? { ...body, model: name } : body);
  const body = (name) => named(asked, name);
  const replies = [];
  // Side by side, timings should compare the models: the first round opens the connections, and the requests of the
  // second one do not overlap.
  if (names.length > 1) for (const name of names) await ask(route, body(name));
  for (const name of names) replies.push(await ask(route, body(name)));
  const answers = replies.map((reply) => view.answers(reply.body, many));
  at("together").replaceChildren(...(view.together && texts.length > 1 ? answers.map((found, index) =>
    make("div", "", names.length > 1 ? make("h2", "", names[index]) : "", view.together(found, texts))) : []));
  at("results").replaceChildren(...answers[0].map((_, row) =>
    result(view, names, answers.map((answer) => answer[row]), texts[row], many)));
  at("timing").replaceChildren(...replies.map((reply, index) =>
    make("div", "", names.length > 1 ? make("h2", "", names[index]) : "", drawTiming(reply))));
  at("curl").textContent = curl(route, body(names[0]));
  const tokens = (await ask("/tokenize", named({ inputs: tokenized }, names[0]))).body;
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
