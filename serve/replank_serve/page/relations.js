// Questions to the knowledge graph: head, relation and tail, one of them open, and candidates with their paths.

import { ask, at, curl, make, showError } from "/page/dom.js";

const parts = ["head", "relation", "tail"];

// Show the form if this model and this server answer such questions.
export function showRelations(info, many) {
  const isAsked = info.graph && info.task.kind === "relation-prediction";
  at("relations-form").hidden = !isAsked;
  at("relations-form").onsubmit = (event) => {
    event.preventDefault();
    question(many ? { model: info.name } : {});
  };
}

async function question(named) {
  const body = { ...named, ...Object.fromEntries(parts.map((part) => [part, at(part).value.trim() || "?"])) };
  at("relate").disabled = true;
  showError();
  try {
    const { answers } = (await ask("/relations", body)).body;
    at("relations").replaceChildren(...answers.map(candidate));
    at("relations-curl").textContent = curl("/relations", body);
    at("relations-answer").hidden = false;
  } catch (error) {
    at("relations-answer").hidden = true;
    showError(error);
  } finally {
    at("relate").disabled = false;
  }
}

function candidate({ head, relation, tail, score, known, path }) {
  const item = make("li", "card");
  item.append(make("p", "text", `${head} ${relation} ${tail}`));
  item.append(make("p", "quiet", `${(100 * score).toFixed(1)} %${known ? ", known to the graph" : ""}`));
  const edges = make("ol", "path");
  edges.append(...path.map((edge) => make("li", "", edge.join(" "))));
  item.append(edges);
  return item;
}
