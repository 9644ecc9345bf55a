// The routes with examples, from /openapi.json.

import { ask, at, curl, make, showError } from "/page/dom.js";

function route(path, method, operation) {
  const section = make("section", "route card");
  section.append(make("h2", "", make("span", "method", method), make("span", "", path)));
  section.append(make("p", "", operation.summary));
  if (operation.description) section.append(make("p", "quiet", operation.description));
  const examples = operation.requestBody?.content["application/json"].examples ?? { none: {} };
  for (const example of Object.values(examples)) {
    if (example.summary) section.append(make("h3", "", example.summary));
    const code = make("pre", "", curl(path, example.value, method));
    code.tabIndex = 0;
    section.append(code);
  }
  const statuses = make("dl", "statuses");
  for (const [status, response] of Object.entries(operation.responses)) {
    statuses.append(make("div", "", make("dt", "", status), make("dd", "", response.description)));
  }
  section.append(make("h3", "", "Answers"), statuses);
  return section;
}

async function show() {
  const api = (await ask("/openapi.json")).body;
  at("title").textContent = `API of ${api.info.title.replace(/^replank: /, "")}`;
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      at("routes").append(route(path, method.toUpperCase(), operation));
    }
  }
}

show().catch(showError);
