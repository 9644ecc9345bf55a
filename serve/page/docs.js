"use strict";
// The routes with an example each, drawn from /openapi.json.

const at = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function curl(path, method, example) {
  if (method === "GET") return `curl ${location.origin}${path}`;
  const body = JSON.stringify(example).replaceAll("'", "\\u0027");
  return `curl ${location.origin}${path} -H 'content-type: application/json' \\\n  -d '${body}'`;
}

function route(path, method, operation) {
  const section = make("section", "route card");
  const heading = make("h2");
  heading.append(make("span", "method", method), make("span", "", path));
  section.append(heading, make("p", "", operation.summary));
  if (operation.description) section.append(make("p", "quiet", operation.description));
  const examples = operation.requestBody?.content["application/json"].examples ?? { get: {} };
  for (const example of Object.values(examples)) {
    if (example.summary) section.append(make("h3", "", example.summary));
    const code = make("pre", "", curl(path, method, example.value));
    code.tabIndex = 0;
    section.append(code);
  }
  const statuses = make("dl", "statuses");
  for (const [status, response] of Object.entries(operation.responses)) {
    const row = make("div");
    row.append(make("dt", "", status), make("dd", "", response.description));
    statuses.append(row);
  }
  section.append(make("h3", "", "Answers"), statuses);
  return section;
}

async function show() {
  const api = await (await fetch("/openapi.json")).json();
  at("title").textContent = `API of ${api.info.title.replace(/^replank: /, "")}`;
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      at("routes").append(route(path, method.toUpperCase(), operation));
    }
  }
}

show().catch(() => {
  at("error").textContent = "/openapi.json cannot be read.";
  at("error").hidden = false;
});
